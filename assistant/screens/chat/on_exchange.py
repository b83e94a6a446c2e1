"""OnExchange: the part of the chat screen that writes chats to files and brings chats in from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual import work

from assistant.errors import AssistantError, UsageError
from assistant.prompting.typed_path import typed_path
from assistant.screens.chat.on_commands import OnCommands
from assistant.screens.keys import spelt
from assistant.storage.exchange import Exchange, Taken

if TYPE_CHECKING:  # the forms are imported when one is written or read: chatting needs none
    from assistant.exchange.importing import Found
    from assistant.screens.working import Step

T = TypeVar("T")


class OnExchange(OnCommands):
    """Raises UsageError, ExchangeError or StorageError with a sentence where something cannot be."""

    async def carry_out(self, name: str, rest: str) -> None:
        if name == "export":
            self._export(rest)
        elif name == "import":
            if not rest:
                raise UsageError("Say which file: /import FILE")
            self._import(typed_path(rest))
        else:
            await super().carry_out(name, rest)

    @work
    async def action_import(self) -> None:
        from assistant.screens.dialogs import LineScreen

        question = "Import chats from which file? An archive of homespun's, ChatGPT's export, or llm's logs.db"
        if name := await self.app.push_screen_wait(LineScreen(question, "")):
            self._import(typed_path(name))

    @work
    async def action_export(self) -> None:
        from assistant.screens.dialogs import LineScreen

        question = "Write to which file? FILE.zip has everything; FILE.md, FILE.html and FILE.json this chat"
        if name := await self.app.push_screen_wait(LineScreen(question, "")):
            try:
                self._export(name)
            except AssistantError as error:
                self.notify(str(error), severity="warning", timeout=10)

    def _export(self, name: str) -> None:
        from assistant.exchange.exporting import write_chat

        path = typed_path(name)
        if path.suffix == ".zip":
            self._archive(path)
        elif self.chat is None:
            raise UsageError("There is no chat to export yet. Everything goes to FILE.zip.")
        else:
            write_chat(self.store, self.chat, path)
            self.notify(f"The chat is in {path.absolute()}.")

    @work
    async def _archive(self, path: Path) -> None:
        from assistant.exchange.archive import write_archive
        from assistant.screens.working import WorkingScreen

        def job(step: Step) -> int:
            return self._apart(lambda store: write_archive(store, path, step, self.config.path))

        done = await self.app.push_screen_wait(WorkingScreen(f"Writing everything to {path}", "chats", job))
        if isinstance(done, int):
            self.notify(f"{done:,} chats are in {path.absolute()}. Temporary chats and models are not.")
        else:
            self.notify(str(done), severity="warning", timeout=10)

    @work
    async def _import(self, path: Path) -> None:
        from assistant.exchange.importing import bring, read, told
        from assistant.screens.working import WorkingScreen

        if self._live is not None:
            said = f"A reply is being made. {spelt(self, 'stop')} stops it; then chats can be imported."
            self.notify(said, severity="warning")
            return

        def job(step: Step) -> tuple[Found, Taken]:
            found = read(path, step)
            return found, self._apart(lambda store: bring(store, found, step))

        done = await self.app.push_screen_wait(WorkingScreen(f"Importing from {path}", "chats", job))
        if isinstance(done, tuple):
            self.notify(told(*done), timeout=10)
            await self._take_settings(done[0].settings)
            self.refresh_list()
            await self.show(end=False)
        else:
            self.notify(str(done), severity="warning", timeout=10)

    async def _take_settings(self, text: str) -> None:
        """Of an archive: where there are none yet, or where a person wants them."""
        from assistant.exchange.settings_file import differs, put
        from assistant.screens.dialogs import ConfirmScreen

        instead = differs(text, self.config.path)
        question = "The archive has settings, too. Take them? Yours are kept beside them."
        if not instead or await self.app.push_screen_wait(ConfirmScreen(question, "Take them", "Keep mine")):
            if said := put(text, self.config.path, instead=instead):
                self.notify(said, timeout=10)
            self.config.read()
            getattr(self.app, "apply_settings", self.apply_settings)()

    def apply_settings(self) -> None:
        raise NotImplementedError

    def _apart(self, work: Callable[[Exchange], T]) -> T:
        """Do `work` with a connection of the thread's own. Chats in memory have only the one there is."""
        if self._service.store.path is None:
            raise UsageError("The data folder cannot be written, so there is nothing to import to or export from.")
        store = Exchange(self._service.store.path)
        try:
            return work(store)
        finally:
            store.close()
