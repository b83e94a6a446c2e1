"""OnInspect: the part of the chat screen that looks inside a message and comes back with a branch."""

from __future__ import annotations

from textual import work

from assistant.errors import StorageError
from assistant.screens.chat.replies import Replies
from assistant.storage.rows import Message


class OnInspect(Replies):
    """The message is the one that is selected, or the last one."""

    async def carry_out(self, name: str, rest: str) -> None:
        if name == "inspect":
            self.action_inspect()
        else:
            await super().carry_out(name, rest)

    @work(group="inspect", exclusive=True)
    async def action_inspect(self) -> None:
        from assistant.screens.inspect.screen import InspectScreen

        message = self.transcript.message
        if message is None:
            self.notify("There is nothing to look inside yet: send a message first.", severity="warning")
            return

        def now() -> Message | None:
            return next((m for m in self.history() if m.id == message.id), None)

        branch = await self.app.push_screen_wait(InspectScreen(self._service, message, now, self.may_begin))
        if branch is None:
            return
        try:
            turn = self._service.branch(branch.message, branch.pieces)
        except StorageError as error:
            self.complain(error)
            return
        await self.take_up(turn)
