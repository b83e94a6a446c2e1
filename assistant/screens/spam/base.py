"""SpamBase: what the parts of the spam screen share: the service, the verdict on screen, the status line."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator

from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker

from assistant.errors import StorageError
from assistant.learning.retraining import Retraining
from assistant.screens.keyed import Keyed
from assistant.screens.keys import spelt
from assistant.storage.verdicts import SPAM_TASK, Kept
from assistant.verdicts.service import VerdictService
from assistant.verdicts.settings import written_rate
from assistant.widgets.verdict_view import QUESTION, VerdictView
from engine.email_text.normalise import EmailText
from engine.email_text.sources import Item


class SpamBase(Keyed[None]):
    """The state of the spam screen. `asked` is what is asked of a text: spam, or the name of a label set."""

    def __init__(self, service: VerdictService, retraining: Retraining, first: str = "") -> None:
        super().__init__()
        self._service, self._retraining, self._first = service, retraining, first
        self.asked = SPAM_TASK
        self._state = ""  # what is going on
        self._judging: Worker[None] | None = None
        self._waiting: deque[tuple[int, EmailText]] = deque()  # mails that are kept, and come after it
        self._draft_timer: Timer | None = None
        self._draft = ""  # what stands in the prompt, as of the last key
        self._sidebar = True
        self._last_path = ""

    @property
    def kept(self) -> Kept | None:
        """The verdict on screen."""
        return self.query_one(VerdictView).kept if self.is_attached else None

    def complain(self, error: Exception) -> None:
        self.notify(str(error), severity="error")

    def say(self, state: str | None = None) -> None:
        """The status line: what is going on (as before, where it is None), and what holds."""
        if not self.is_attached:
            return  # closed, while something was being done for it
        self._state = self._state if state is None else state
        rate = f"at most {written_rate(self._service.settings.rate)} false alarms ({spelt(self, 'spam-rate')})"
        asked = rate if self.asked == SPAM_TASK else f"asked: {self.asked} ({spelt(self, 'spam-labels')})"
        parts = [self._state, self._retraining.line(), self._service.tuning.line, asked]
        self.query_one("#status", Static).update("  ·  ".join(part for part in parts if part))

    def show(self, verdict: int | None, *, waiting: bool = False) -> None:
        """Put a verdict on screen; nothing where it is None or gone."""
        if not self.is_attached:
            return
        try:
            kept = self._service.store.verdict(verdict) if verdict is not None else None
        except StorageError as error:
            self.complain(error)
            return
        spam = self.asked == SPAM_TASK
        question = (
            QUESTION
            if spam
            else f"Which of the labels of “{self.asked}” does it have? ({spelt(self, 'spam-labels')} asks for others)"
        )
        self.query_one(VerdictView).show(kept, waiting=waiting, question=question)
        nothing = "Spam check" if spam else self.asked
        self.query_one("#title", Static).update((kept.name or "Pasted text") if kept else nothing)
        self.refresh_bindings()

    def refresh_list(self) -> None:
        raise NotImplementedError

    def judge(self, items: AsyncIterator[Item], *, typed: str = "") -> None:
        raise NotImplementedError

    def judge_again(self) -> None:
        raise NotImplementedError
