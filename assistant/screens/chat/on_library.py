"""OnLibrary: the part of the chat screen that gives a chat its documents, and shows what replies were given of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from assistant.chat_service import Turn
from assistant.errors import AssistantError, LibraryError, StorageError
from assistant.library.adding import add, new_name
from assistant.screens.chat.on_exchange import OnExchange
from assistant.screens.chat.replies import Replies
from assistant.storage.rows import Chat

if TYPE_CHECKING:
    from assistant.widgets.reply import ReplyView


class OnLibrary(OnExchange, Replies):
    """A chat that is not begun yet has a library too: the one it will answer from."""

    _wanted_library = ""  # of the chat that is not begun yet

    async def carry_out(self, name: str, rest: str) -> None:
        if name != "library":
            await super().carry_out(name, rest)
        elif not rest:
            self.action_libraries()
        else:
            self._give("" if rest == "-" else self._library_for(rest))

    def _library_for(self, wish: str) -> str:
        """The library called `wish`, or a new one of the folder or file of that name."""
        store = self._service.store
        names = {library.name for library in store.libraries()}
        if wish in names:
            return wish
        if not os.path.exists(os.path.expanduser(wish)):
            there = f" There are: {', '.join(sorted(names))}." if names else ""
            raise LibraryError(f"There is no library {wish}, nor a folder or file of this name.{there}")
        name = new_name(Path(wish), names)
        add(store, name, wish)
        self._service.refresher.start(name)
        return name

    @work
    async def action_libraries(self) -> None:
        from assistant.screens.libraries import LibrariesScreen

        screen = LibrariesScreen(self._service.store, self._service.refresher, self.library)
        chosen = await self.app.push_screen_wait(screen)
        try:
            if chosen is not None:
                self._give(chosen)
            elif self.library and self.library not in {one.name for one in self._service.store.libraries()}:
                self._give("")  # it was removed
        except StorageError as error:
            self.complain(error)
        await self.show(end=False)

    @property
    def library(self) -> str:
        """The library of the chat on screen; "" for none."""
        try:
            return self._wanted_library if self.chat is None else self.store.library_of(self.chat)
        except StorageError:
            return ""

    def _give(self, library: str) -> None:
        if self.chat is None:
            self._wanted_library = library
        else:
            self.store.give_library(self.chat, library)
        self.refresh_list()
        self.notify(f"This chat answers from {library}." if library else "This chat answers without documents.")

    async def begin(self, turn: Turn, asked: str = "") -> None:
        if self._wanted_library:
            try:
                self.store.give_library(turn.chat, self._wanted_library)
            except StorageError as error:
                self.complain(error)
            self._wanted_library = ""
        await super().begin(turn, asked)

    async def open_chat(self, chat: int | None) -> None:
        self._wanted_library = ""  # a new chat begins anew
        await super().open_chat(chat)

    def _heading(self, chat: Chat | None) -> str:
        heading = super()._heading(chat)
        return f"{heading}  ·  from {self.library}" if self.library else heading

    # What replies were given

    async def show(self, *, end: bool = True) -> None:
        await super().show(end=end)
        if self.chat is None:
            return
        try:
            cited = self.store.citations(self.chat)
        except StorageError as error:
            self.complain(error)
            return
        for view in self.transcript.replies():
            view.cite(cited.get(view.message.id, []))

    async def action_sources(self) -> None:
        if (message := self.transcript.message) is not None:
            self._open_sources(message.id, 0)

    def on_reply_view_source_opened(self, event: ReplyView.SourceOpened) -> None:
        event.stop()
        self._open_sources(event.message, event.place)

    def _open_sources(self, message: int, place: int) -> None:
        from assistant.screens.chat.sources import SourcesScreen

        try:
            sources = self.store.citations(self.chat).get(message, []) if self.chat is not None else []
        except AssistantError as error:
            self.complain(error)
            return
        if sources:
            self.app.push_screen(SourcesScreen(sources, place))
