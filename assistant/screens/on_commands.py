"""OnCommands: the part of the chat screen that carries out what is typed behind a slash."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from assistant.commands import SETTING_OF
from assistant.errors import UsageError
from assistant.exporting import as_html, as_json, as_markdown
from assistant.sampling import SETTINGS, Wishes, read_setting
from assistant.screens.on_chats import OnChats
from assistant.screens.on_spam import OnSpam

ACTIONS = {
    "inspect": "inspect",
    "model": "models",
    "train": "train",
    "new": "new_chat",
    "temporary": "temporary",
    "search": "search",
    "help": "help",
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
        elif name == "export":
            self._export(rest)
        elif name == "rename":
            if self.chat is not None and rest:
                self.store.rename(self.chat, rest[:200])
                self.refresh_list()
        elif name == "default":
            self._service.store.set(f"defaults:{self._service.model.name}", self._wanted().params_json())
            self.notify(f"New chats with {self._service.model.name} begin with this chat's settings.")
        else:
            self.notify(self._told())

    def _wanted(self) -> Wishes:
        chat = self.store.chat(self.chat) if self.chat is not None else None
        return Wishes.of(chat.system, chat.params) if chat else self.wishes

    def _want(self, wishes: Wishes) -> None:
        if self.chat is None:
            self.wishes = wishes
        else:
            self.store.instruct(self.chat, wishes.system, wishes.params_json())

    def _set(self, setting: str, text: str) -> None:
        value, wishes = read_setting(setting, text), self._wanted()
        params = {k: v for k, v in wishes.params.items() if k != setting}
        self._want(replace(wishes, params=params if value is None else {**params, setting: value}))
        self.notify(self._told())

    def _instruct(self, text: str) -> None:
        if text:
            self._want(replace(self._wanted(), system="" if text == "-" else text))
        system = self._wanted().system
        said = f"The model is told: {system}" if system else "The model is told nothing before the chat."
        self.notify(f"{said} /system - takes it away." if system else said)

    def _told(self) -> str:
        params = self._service.params_of(self.chat, self.wishes)
        values = {name: getattr(params, name) for name in SETTINGS}
        return "\n".join(f"{SETTINGS[name][0]}: {'new each time' if v is None else v}" for name, v in values.items())

    def _export(self, name: str) -> None:
        chat = self.store.chat(self.chat) if self.chat is not None else None
        if chat is None:
            raise UsageError("There is no chat to export yet.")
        path = Path(os.path.expanduser(name))
        writers = {
            ".md": lambda: as_markdown(chat, self.history()),
            ".json": lambda: as_json(chat, self.store.tree(chat.id)),
            ".html": lambda: as_html(chat, self.history()),
        }
        if path.suffix not in writers:
            raise UsageError("Say where to: /export FILE.md, FILE.json (everything, branches too) or FILE.html.")
        try:  # never over a file that is there, and readable by nobody else
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(writers[path.suffix]())
        except FileExistsError:
            raise UsageError(f"{path} is there already; choose another name.") from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
        self.notify(f"The chat is in {path.absolute()}.")
