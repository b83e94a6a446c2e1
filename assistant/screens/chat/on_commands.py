"""OnCommands: the part of the chat screen that carries out what is typed behind a slash."""

from __future__ import annotations

from textual import work

from assistant.prompting.commands import COMMANDS, SETTING_OF
from assistant.screens.chat.on_chats import OnChats
from assistant.screens.chat.on_spam import OnSpam

ACTIONS = {
    "model": "models",
    "train": "train",
    "new": "new_chat",
    "temporary": "temporary",
    "search": "search",
    "help": "help",
    "chat": "chat_settings",
    "settings": "settings",
}


class OnCommands(OnChats, OnSpam):
    """Raises UsageError or StorageError with a sentence where something cannot be."""

    async def carry_out(self, name: str, rest: str) -> None:
        """Do what command `name` says."""
        if name in ACTIONS:
            await self.run_action(ACTIONS[name])
        elif name in SETTING_OF:
            self._set(SETTING_OF[name], rest)
        elif name == "system":
            self._instruct(rest)
        elif name == "spam":
            self.open_spam(rest)
        elif name == "rename":
            if self.chat is not None and (title := " ".join(rest.split())):
                self.store.rename(self.chat, title[:200])
                self.refresh_list()
        elif name == "default":
            self.notify(self.settings.make_default(self.chat))
        elif name == "persona":
            self._persona(rest)

    async def begin_command(self, name: str) -> None:
        """From the palette: carry out a command that wants nothing, put one that wants something into the prompt."""
        if not COMMANDS[name][0]:
            await self.carry_out(name, "")
            return
        if self.prompt.text:
            self.notify(f"There is text in the prompt; send or clear it first, then type /{name}.", severity="warning")
        else:
            self.prompt.fill(f"/{name} ")
        self.prompt.focus()

    def _set(self, setting: str, text: str) -> None:
        self.settings.set(self.chat, setting, text)
        self.notify(self.settings.told(self.chat))

    def _instruct(self, text: str) -> None:
        if text:
            self.settings.instruct(self.chat, "" if text == "-" else text)
        system = self.settings.wanted(self.chat).system
        said = f"The model is told: {system}" if system else "The model is told nothing before the chat."
        self.notify(f"{said} /system - takes it away." if system else said)

    def _persona(self, name: str) -> None:
        if name:
            self.settings.take_persona(self.chat, name)
            self.refresh_list()
        else:
            self.action_chat_settings()

    @work
    async def action_chat_settings(self) -> None:
        from assistant.screens.chat.chat_settings import ChatSettingsScreen

        await self.app.push_screen_wait(ChatSettingsScreen(self.settings, self._service, self.chat))
        self.refresh_list()
