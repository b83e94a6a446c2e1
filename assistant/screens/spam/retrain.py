"""RetrainScreen: what retraining would learn from, how far it is, and the comparison, to be adopted or discarded."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from assistant.errors import AssistantError
from assistant.verdicts.retraining import Corrections, Retraining

LOOK_SECONDS = 0.25
ABOUT = "The scorer in use learns from that, and is compared with the new one before you decide which of them judges."
CLOSING = "It goes on when this is closed (Esc); F9 shows how far it is."
WHAT = {
    "nothing": ("Retrain (y)", "Not now (n)"),
    "busy": ("", "Stop (n)"),
    "made": ("Adopt (y)", "Discard (n)"),
}


class RetrainScreen(ModalScreen[str]):
    """A sentence about what was decided; "" where nothing was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Close"),
        Binding("y", "yes", "Yes"),
        Binding("n", "no", "No"),
    ]

    def __init__(self, retraining: Retraining, corrections: Corrections) -> None:
        super().__init__()
        self._retraining, self._corrections = retraining, corrections

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label("", markup=False, id="about")
            yield Label("", markup=False, id="progress")
            with Horizontal(classes="buttons"):
                yield Button("", variant="primary", compact=True, id="yes")
                yield Button("", compact=True, id="no")

    def on_mount(self) -> None:
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    @property
    def _state(self) -> str:
        return "busy" if self._retraining.busy else "made" if self._retraining.made is not None else "nothing"

    def _look(self) -> None:
        """Show how far it is."""
        now = self._retraining
        about = {"busy": CLOSING, "made": now.comparison, "nothing": self._offer()}[self._state]
        self.query_one("#about", Label).update(about)
        self.query_one("#progress", Label).update(now.line or ("" if self._state == "made" else now.failure))
        for name, label in zip(("yes", "no"), WHAT[self._state], strict=True):
            button = self.query_one(f"#{name}", Button)
            button.label = label
            button.display = bool(label)

    def _offer(self) -> str:
        counts = Counter(label for _, label in self._corrections)
        if not counts:
            return "There are no corrections to learn from yet: F2 says that a verdict was wrong."
        parts = ", ".join(f"{count} {label}" for label, count in counts.most_common())
        total = sum(counts.values())
        old = self._retraining.old_mail
        mixed = "Old mail is mixed in." if old.is_dir() else f"No old mail is mixed in: there is none in {old}."
        return f"{total} correction{'s' * (total != 1)} ({parts}). {ABOUT} {mixed}"

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_yes() if event.button.id == "yes" else self.action_no()

    def action_yes(self) -> None:
        try:
            if self._state == "made":
                self.dismiss(self._retraining.adopt())
            elif self._state == "nothing":
                self._retraining.start(self._corrections)
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self._look()

    def action_no(self) -> None:
        if self._state == "busy":
            self._retraining.stop()
        elif self._state == "made":
            self._retraining.discard()
            self.dismiss("The old scorer stays; the new one was deleted.")
        else:
            self.dismiss("")
