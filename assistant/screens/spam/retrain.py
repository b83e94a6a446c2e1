"""RetrainScreen: what retraining would learn from, how far it is, and the comparison, to be adopted or discarded."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Label

from assistant.errors import AssistantError
from assistant.learning.corrections import Corrections
from assistant.learning.retraining import Retraining
from assistant.learning.runs import Run
from assistant.screens.keys import spelt

LOOK_SECONDS = 0.5
ABOUT = "The scorer in use learns from that, and is compared with the new one before you decide which of them judges."
CLOSING = "It goes on when this is closed (Esc), or the app; {} shows how far it is, and so does the training menu."
WHAT = {
    "none": ("", "Close (n)"),
    "nothing": ("Retrain (y)", "Not now (n)"),
    "busy": ("", "Stop (n)"),
    "done": ("Adopt (y)", "Discard (n)"),
}


class RetrainScreen(ModalScreen[str]):
    """A sentence about what was decided; "" where nothing was.

    Raises:
        StorageError: the corrections cannot be read.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "Close"),
        Binding("y", "yes", "Yes"),
        Binding("n", "no", "No"),
    ]

    def __init__(self, retraining: Retraining, corrections: Corrections) -> None:
        super().__init__()
        self._retraining, self._corrections = retraining, corrections
        self._offer = corrections.summary() + (f" {ABOUT}" if corrections.used() else "")
        self._run: Run | None = None

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
        if self._run is None or self._run.state in ("failed", "paused", "cut off"):
            return "nothing" if self._corrections.used() else "none"
        return "busy" if self._run.busy else "done"

    def _look(self) -> None:
        """Show how far it is."""
        self._run = run = self._retraining.run
        state, about, progress = self._state, self._offer, ""
        if run is not None and state == "done":
            about = self._retraining.comparison(run)
        elif run is not None:
            about = CLOSING.format(spelt(self, "spam-retrain")) if state == "busy" else about
            progress = self._retraining.line() or run.text
        self.query_one("#about", Label).update(about)
        self.query_one("#progress", Label).update(progress)
        self.query_one("#progress").display = bool(progress)
        for name, label in zip(("yes", "no"), WHAT[state], strict=True):
            button = self.query_one(f"#{name}", Button)
            button.label = label
            button.display = bool(label)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_yes() if event.button.id == "yes" else self.action_no()

    def action_yes(self) -> None:
        try:
            if self._state == "done" and self._run is not None:
                self.dismiss(self._retraining.adopt(self._run))
                return
            if self._state == "nothing":
                self._retraining.start(self._corrections)
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self._look()

    def action_no(self) -> None:
        if self._state in ("none", "nothing") or self._run is None:
            self.dismiss("")
            return
        try:
            done = self._state == "done"
            self._retraining.end(self._run)
            if done:
                self.dismiss("The old scorer stays; the new one was deleted.")
                return
        except AssistantError as error:
            self.notify(str(error), severity="error")
        self._look()
