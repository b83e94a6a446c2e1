"""OnChats: the part of the chat screen that opens, names, finds and deletes chats."""

from __future__ import annotations

from collections.abc import Callable

from textual import on, work
from textual.content import Content
from textual.widgets import Input, Static

from assistant.errors import StorageError
from assistant.screens.chat.drafts import Drafts
from assistant.screens.keys import spelt
from assistant.storage.rows import Chat
from assistant.storage.store import Store, is_temporary
from assistant.widgets.chat_list import ChatList


class OnChats(Drafts):
    """Chats as a whole."""

    async def open_chat(self, chat: int | None) -> None:
        """Put `chat` on screen, an empty one where it is None."""
        self.save_draft(leaving=True)
        self.chat, self.temporary = chat, is_temporary(chat)
        with self.app.batch_update():  # laid out and drawn once
            try:
                self.prompt.fill(self.draft())
            except StorageError as error:
                self.complain(error)
            await self.show()
            ended = (m for m in reversed(self.transcript.messages) if m.context_used is not None)
            self.status.of_chat(next(ended, None))
            self.refresh_list()

    def refresh_list(self) -> None:
        side, wanted = self.query_one(ChatList), self.query_one("#filter", Input).value
        try:
            stored = self._service.store.chats(archived=self._archived, limit=side.reach(wanted))
            chats = self._service.temporary_chats() + stored
            here = self.store.chat(self.chat) if self.chat is not None else None
        except StorageError as error:
            self.complain(error)
            return
        side.show(chats, self.chat, wanted, "The archive is empty" if self._archived else "No chats yet")
        heading = Content(self._heading(here))
        heading = heading.stylize("@click=screen.rename") if here else heading
        self.query_one("#title", Static).update(heading, layout=False)  # it is one line high, whatever it says

    def _heading(self, chat: Chat | None) -> str:
        """The title, and what is special about the chat."""
        persona = self.settings.persona(self.chat)
        temporary = self.temporary if chat is None else is_temporary(chat.id)
        marks = [
            ("temporary, never written", temporary),
            ("pinned", chat is not None and chat.pinned),
            ("in the archive", chat is not None and chat.archived),
            (persona, bool(persona)),
        ]
        return "  ·  ".join([chat.title if chat else "New chat", *(mark for mark, holds in marks if holds)])

    async def look(self) -> None:
        """Show what other windows have written since the last look, and mark what a killed one left."""
        try:
            store = self._service.store
            news = [store.stop_orphans(), self._service.unsaved.retry(), store.changed()]
            if not any(news):
                return
            if self.chat is not None and self.store.chat(self.chat) is None:
                self.notify("This chat was deleted in another window.")
                await self.open_chat(None)
        except StorageError as error:
            self.complain(error)
            return
        self.refresh_list()
        await self.show(end=False)

    @on(ChatList.Wanted)
    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self.refresh_list()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.query_one(ChatList).focus()
        self.query_one(ChatList).action_first()

    def action_pin(self) -> None:
        self._mark(lambda store, chat: store.pin(chat.id, not chat.pinned))

    def action_archive(self) -> None:
        self._mark(lambda store, chat: store.archive(chat.id, not chat.archived))

    def _mark(self, change: Callable[[Store, Chat], None]) -> None:
        try:
            chat = self.store.chat(self.chat) if self.chat is not None else None
            if chat is not None:
                change(self.store, chat)
        except StorageError as error:
            self.complain(error)
        self.refresh_list()

    def action_archived(self) -> None:
        self._archived = not self._archived
        self.refresh_list()
        back = f"The list shows the archive; {spelt(self, 'archived')} goes back."
        self.notify(back if self._archived else "The list shows the chats.")

    async def action_temporary(self) -> None:
        await self.open_chat(None)
        self.temporary = True
        self.refresh_list()
        self.prompt.focus()

    @on(ChatList.OptionSelected, "#chats")
    async def _chosen(self, event: ChatList.OptionSelected) -> None:
        if event.option_id:
            await self.open_chat(int(event.option_id))
            self.prompt.focus()

    async def action_new_chat(self) -> None:
        await self.open_chat(None)
        self.prompt.focus()

    @work
    async def action_rename(self) -> None:
        from assistant.screens.dialogs import LineScreen

        chat = self.store.chat(self.chat) if self.chat is not None else None
        if chat and (title := await self.app.push_screen_wait(LineScreen("A new name for this chat", chat.title))):
            self.store.rename(chat.id, title)
            self.refresh_list()

    @work
    async def action_delete(self) -> None:
        from assistant.screens.dialogs import ConfirmScreen

        chat = self.store.chat(self.chat) if self.chat is not None else None
        if chat is None:
            return
        if self._live is not None and self._live.turn.chat == chat.id:
            self.notify(f"A reply is being made in this chat. {spelt(self, 'stop')} stops it.")
            return
        question = f"Delete “{chat.title}” for good? Its text is overwritten on disk."
        if await self.app.push_screen_wait(ConfirmScreen(question, "Delete")):
            self.store.delete(chat.id)
            self._removed = [removed for removed in self._removed if removed.chat != chat.id]
            self.prompt.fill("")
            self.chat = None
            await self.open_chat(None)

    @work
    async def action_search(self) -> None:
        from assistant.screens.chat.search import SearchScreen

        hit = await self.app.push_screen_wait(SearchScreen(self._service.store.search))
        if hit is None:
            return
        chat, message = hit
        if message not in {m.id for m in self._service.store.history(chat)}:
            self._service.store.choose(message)  # it is on another branch
        await self.open_chat(chat)
        await self.transcript.go(message)
        self.transcript.focus()
