"""OnMessages: the part of the chat screen that does things with one message: select, copy, edit, branch, delete."""

from __future__ import annotations

from textual import on, work
from textual.css.query import NoMatches

from assistant.errors import StorageError
from assistant.screens.chat.replies import Replies
from assistant.screens.keys import spelt
from assistant.storage.rows import Removed
from assistant.text import code_blocks
from assistant.widgets.message import MessageView
from assistant.widgets.page_view import PageView
from assistant.widgets.transcript import Transcript
from engine.errors import EngineError

NEEDS_MESSAGE = {
    "select",
    "edit",
    "step",
    "copy_code",
    "fork",
    "remove_branch",
    "remove_one",
    "mark",
    "inspect",
    "again",
    "copy",
    "continue",
}


class OnMessages(Replies):
    """The message is the one that is selected, or the last one where none is."""

    _copied = 0  # blocks of code of this message that were copied so far

    @on(Transcript.Selected)
    def _selected(self) -> None:
        self._copied = 0
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing here are not shown."""
        if action == "stop":
            return self._live is not None
        try:
            message = self.transcript.message
        except NoMatches:  # the screen is being made
            return True
        if action in NEEDS_MESSAGE and message is None:
            return False
        if action == "sources":
            view = self.transcript.reply(message.id) if message else None
            return view is not None and bool(view.sources)
        if action == "undo":
            return bool(self._removed)
        if message is None:
            return True
        if action == "continue":
            return self.can_continue(message)
        if action == "mark":
            return message.role == "assistant" and bool(message.content)
        if action == "step":
            by = parameters[0] if parameters else 0
            return message.place > 1 if by == -1 else message.place < message.siblings
        if action == "copy_code":
            return bool(code_blocks(message.content))
        return True

    async def action_select(self, by: int) -> None:
        await self.transcript.move(by)

    def action_copy(self) -> None:
        message = self.transcript.message
        if message is not None and message.content:
            self.app.copy_to_clipboard(message.content)
            self.notify("The message is in the clipboard.")

    def action_copy_code(self) -> None:
        message = self.transcript.message
        blocks = code_blocks(message.content) if message else []
        if blocks:
            index = self._copied % len(blocks)
            self.app.copy_to_clipboard(blocks[index])
            self._copied += 1
            which = f" {index + 1} of {len(blocks)}" if len(blocks) > 1 else ""
            self.notify(f"Block of code{which} is in the clipboard.")

    @on(PageView.Copied)
    def _copy(self, event: PageView.Copied) -> None:
        self.app.copy_to_clipboard(event.text)
        self.notify(f"{event.what} is in the clipboard.")

    @work
    async def action_edit(self) -> None:
        from assistant.screens.dialogs import TextScreen

        message = self.transcript.message
        if message is None or not self.may_begin():
            return
        what = "question; Enter sends it as a branch" if message.role == "user" else "reply; Enter keeps it as a branch"
        text = await self.app.push_screen_wait(TextScreen(f"Change the {what}", message.content))
        if text is None or text == message.content:
            return
        try:
            turn = self._service.edit(message, text)
        except (EngineError, StorageError) as error:
            self.notify(str(error), severity="warning")
            return
        self.transcript.select(None)
        if turn is not None:
            await self.begin(turn)
        else:
            await self.show()
            self.refresh_list()

    async def action_step(self, by: int) -> None:
        if (message := self.transcript.message) is not None:
            await self._step(message.id, by)

    @on(MessageView.Stepped)
    async def _stepped(self, event: MessageView.Stepped) -> None:
        await self._step(event.message, event.by)

    async def _step(self, message: int, by: int) -> None:
        try:
            now = self.store.step(message, by)
        except StorageError as error:
            self.complain(error)
            return
        if now is not None:
            await self.show(end=False)
            await self.transcript.go(now)

    async def action_fork(self) -> None:
        message, chat = self.transcript.message, self.store.chat(self.chat) if self.chat is not None else None
        if message is None or chat is None:
            return
        try:
            fork = self.store.fork(message.id, f"{chat.title} (fork)")
        except StorageError as error:
            self.complain(error)
            return
        await self.open_chat(fork)
        self.notify("A fork of the chat; the other one stays as it is.")

    async def action_remove_branch(self) -> None:
        await self._remove(one=False)

    async def action_remove_one(self) -> None:
        await self._remove(one=True)

    async def _remove(self, *, one: bool) -> None:
        message = self.transcript.message
        if message is None or not self.may_begin():
            return
        try:
            removed = self.store.remove_one(message.id) if one else self.store.remove_branch(message.id)
        except StorageError as error:
            self.complain(error)
            return
        if removed is not None:
            self._removed.append(removed)
            await self.show(end=False)
            await self.transcript.move(0)
            count = len(removed.rows)
            what = "A message is" if count == 1 else f"{count} messages are"
            self.notify(f"{what} deleted. {spelt(self, 'message-undo')} brings it back.")

    async def action_undo(self) -> None:
        if not self._removed:
            return
        removed: Removed = self._removed.pop()
        store = self._service.store_of(removed.chat)
        try:
            back = store.restore(removed)
        except StorageError as error:
            self._removed.append(removed)
            self.complain(error)
            return
        if not back:
            self.notify("It cannot be brought back: the chat it belonged to is gone.", severity="warning")
            return
        if self.chat != removed.chat:
            await self.open_chat(removed.chat)
        await self.show(end=False)
        await self.transcript.go(removed.rows[0]["id"])
