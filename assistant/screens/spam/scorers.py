"""OnScorers: the part of the spam screen that sets the rate of false alarms, retrains, and goes back."""

from __future__ import annotations

from textual import work

from assistant.errors import AssistantError, StorageError
from assistant.learning.corrections import Corrections
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.spam.base import SpamBase
from assistant.screens.spam.retrain import RetrainScreen
from assistant.storage.verdicts import SPAM_TASK
from assistant.verdicts.settings import written_rate


class OnScorers(SpamBase):
    """The scorer is the one that is in use."""

    @work
    async def action_retrain(self) -> None:
        try:
            screen = RetrainScreen(self._retraining, Corrections(self._service.store))
        except StorageError as error:
            self.complain(error)
            return
        if said := await self.app.push_screen_wait(screen):
            self.notify(said, timeout=12)
        self.say("")

    @work
    async def action_roll_back(self) -> None:
        adopted = self._service.settings.adopted()
        question = f"Go back from {adopted[-1]} to the scorer before? {adopted[-1]} is deleted." if adopted else ""
        if adopted and not await self.app.push_screen_wait(ConfirmScreen(question, "Go back")):
            return
        try:
            self.notify(self._service.settings.roll_back())
        except AssistantError as error:
            self.notify(str(error), severity="warning")

    @work
    async def action_rate(self) -> None:
        typed = written_rate(self._service.settings.rate).removesuffix(" %")
        question = "Per cent of honest mail that may be called spam (0.1 is one in a thousand):"
        while (text := await self.app.push_screen_wait(LineScreen(question, typed))) is not None:
            try:
                self._service.settings.set_rate(text)
                break
            except AssistantError as error:  # and what was typed can be put right
                self.notify(str(error), severity="warning")
                typed = text
        else:
            return
        self.say("")
        if self.kept is not None and self.kept.task == SPAM_TASK and self.kept.raw is not None:
            self.judge_again()
