"""OnSpam: the part of the chat screen that opens the spam check above it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from assistant.screens.chat.base import ChatBase

if TYPE_CHECKING:
    from assistant.verdicts.service import VerdictService


class OnSpam(ChatBase):
    """The service lives as long as the chat's screen, so that what it has begun goes on when the check is closed."""

    @cached_property
    def verdicts(self) -> VerdictService:
        from assistant.verdicts.service import VerdictService  # which not every chat needs

        return VerdictService(self._service.store, self._service.client, self._shelf.paths, self._tell_of_spam)

    def _tell_of_spam(self, sentence: str) -> None:
        self.app.notify(sentence, timeout=12)

    async def on_unmount(self) -> None:
        if "verdicts" in self.__dict__:
            await self.verdicts.close()

    def action_spam(self) -> None:
        self.open_spam()

    def open_spam(self, name: str = "") -> None:
        """Open the check; judge the file `name` at once where there is one."""
        from assistant.learning.retraining import Retraining
        from assistant.screens.spam.screen import SpamScreen

        self.app.push_screen(SpamScreen(self.verdicts, Retraining(self.verdicts.settings, self.runs), name))
