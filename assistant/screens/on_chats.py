"""OnChats: the part of the chat screen that opens, names, finds and deletes chats, and keeps what is typed."""

from __future__ import annotations

from textual import on, work
from textual.widgets import Static, TextArea

from assistant.errors import StorageError
from assistant.screens.base import ChatBase
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.search import SearchScreen
from assistant.widgets.chat_list import ChatList

DRAFT_SECONDS = 0.5  # after the last key, the draft is saved


class OnChats(ChatBase):
    """Chats as a whole."""

    async def open_chat(self, chat: int | None) -> None:
        """Put `chat` on screen, an empty one where it is None."""
        self.save_draft()
        self.chat = chat
        try:
            self.prompt.fill(self.store.draft(chat))
        except StorageError as error:
            self.complain(error)
        await self.show()
        self.refresh_list()

    def refresh_list(self) -> None:
        try:
            chats = self._service.store.chats()
        except StorageError as error:
            self.complain(error)
            return
        self.query_one(ChatList).show(chats, self.chat)
        titles = {chat.id: chat.title for chat in chats}
        self.query_one("#title", Static).update(titles.get(self.chat or 0, "New chat"))

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
        chat = self.store.chat(self.chat) if self.chat is not None else None
        if chat and (title := await self.app.push_screen_wait(LineScreen("A new name for this chat", chat.title))):
            self.store.rename(chat.id, title)
            self.refresh_list()

    @work
    async def action_delete(self) -> None:
        chat = self.store.chat(self.chat) if self.chat is not None else None
        if chat is None:
            return
        if self._live is not None and self._live.turn.chat == chat.id:
            self.notify("A reply is being made in this chat. Esc stops it.")
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
        hit = await self.app.push_screen_wait(SearchScreen(self._service.store.search))
        if hit is None:
            return
        chat, message = hit
        if message not in {m.id for m in self._service.store.history(chat)}:
            self._service.store.choose(message)  # it is on another branch
        await self.open_chat(chat)
        await self.transcript.go(message)
        self.transcript.focus()

    # Drafts

    @on(TextArea.Changed, "#prompt")
    def _typed(self, event: TextArea.Changed) -> None:
        self._draft = event.text_area.text
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_SECONDS, self.save_draft)

    def save_draft(self) -> None:
        """Keep what is typed and not sent."""
        if self._draft_timer is None:
            return  # nothing was typed since
        self._draft_timer.stop()
        self._draft_timer = None
        prompts = self.query("#prompt").results(TextArea)  # none any more when the app is closing
        try:
            self.store.save_draft(self.chat, next((p.text for p in prompts), self._draft))
        except StorageError as error:
            self.complain(error)
