"""A run as it goes on: its losses as a chart, its numbers, what the model says meanwhile, and the log."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from assistant.errors import AssistantError
from assistant.learning.chart import chart
from assistant.learning.progress import Progress
from assistant.learning.runs import Run, Runs
from assistant.learning.wording import HEADS
from assistant.models.events import parameters_text, size_text, time_text
from assistant.screens.dialogs import ConfirmScreen
from assistant.screens.keyed import Keyed
from assistant.screens.keys import spelt
from assistant.screens.learning.keys import RUN_INTRO, RUN_KEYS
from assistant.widgets.key_line import KeyLine

LOOK_SECONDS = 0.5


class Chart(Static):
    """The curves, drawn as large as there is room."""

    def __init__(self) -> None:
        super().__init__("", id="chart")
        self._progress: Progress | None = None

    def show(self, progress: Progress) -> None:
        self._progress = progress
        self.on_resize()

    def on_resize(self) -> None:
        if (now := self._progress) is not None:
            self.update(chart(now.train, now.valid, now.valid_name, self.size.width, self.size.height))


class RunScreen(Keyed[None]):
    """Follows the run called `key`. Leaving it leaves the run alone."""

    BINDINGS: ClassVar[list[BindingType]] = [*RUN_KEYS]
    keys, intro = RUN_KEYS, RUN_INTRO

    def __init__(self, runs: Runs, key: str) -> None:
        super().__init__()
        self._runs, self._key = runs, key
        run = runs.find(key)
        self._run: Run | None = run
        self._progress = Progress(run.folder, run.stages) if run else None
        self._log = False
        self._seen: tuple[object, ...] = ()  # what is on screen

    def compose(self) -> ComposeResult:
        yield Static("", id="title", markup=False)
        yield Chart()
        yield Static("", id="numbers", markup=False)
        yield Static("", id="samples")
        yield Static("", id="problem", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_interval(LOOK_SECONDS, self._look)
        self.call_after_refresh(self._look)

    def _look(self) -> None:
        """Show how it stands; a run that has come to its end closes the screen by itself."""
        before, self._run = self._run, self._runs.find(self._key)
        if self._run is None or self._progress is None:
            self.dismiss(None)
            return
        news = self._progress.look()
        run, progress = self._run, self._progress
        if run.state == "done" and before is not None and before.state != "done":
            self.dismiss(None)
            return
        seen = (run.state, run.text, self._log)
        if not news and seen == self._seen:
            return
        self._seen = seen
        head = f"{run.wish.name} {HEADS.get(run.state, run.state)}"
        if run.busy and run.text and run.text != "training":
            head += f": {run.text}"
        self.query_one("#title", Static).update(head)
        self.query_one(Chart).show(progress)
        self.query_one("#numbers", Static).update(numbers(progress, run))
        self.query_one("#samples", Static).update(self._words())
        self.query_one("#problem", Static).update(self._problem(run))
        self.refresh_bindings()

    def _words(self) -> Text:
        """The log's last lines, or what the model has said."""
        assert self._progress is not None
        room = max(self.query_one("#samples").size.height, 3)
        if self._log or not self._progress.samples:
            return Text("\n".join(self._progress.log[-room:]), style="dim", no_wrap=True, overflow="ellipsis")
        text = Text(no_wrap=True, overflow="ellipsis")
        for step, said in self._progress.samples[-room:]:
            text.append(f"step {step} it says: ", style="dim").append(said.replace("\n", " ") + "\n")
        return text

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self._run
        if run is None:
            return True
        if action == "pause":
            return run.busy or run.can_resume
        if action == "keep":
            return run.state in ("training", "paused", "cut off", "failed")
        return True

    def _problem(self, run: Run) -> str:
        """What a person should know or do."""
        resume, keep, cancel = (spelt(self, f"run-{name}") for name in ("pause", "keep", "cancel"))
        if run.state in ("failed", "cut off"):
            return f"{run.text} {resume} goes on from the last checkpoint, {keep} keeps what there is."
        if run.state == "paused":
            return f"{resume} goes on, {keep} keeps what it has learned so far, {cancel} ends it for good."
        if run.busy:
            return "It goes on when this or the app is closed; a chat keeps its speed: the run waits for replies."
        return ""

    # What one can do

    def action_log(self) -> None:
        self._log = not self._log
        self._look()

    def action_pause(self) -> None:
        if self._run is None:
            return
        try:
            if self._run.busy:
                self._runs.pause(self._run)
                self.notify(f"It saves and pauses after this step. {spelt(self, 'run-pause')} goes on.")
            else:
                self._runs.resume(self._run)
        except AssistantError as error:
            self.notify(str(error), severity="error")

    def action_keep(self) -> None:
        if self._run is not None:
            try:
                self._runs.keep(self._run)
                self.notify("It stops after this step, and what it has learned is kept.")
            except AssistantError as error:
                self.notify(str(error), severity="warning")

    @work
    async def action_cancel(self) -> None:
        run = self._run
        keep = spelt(self, "run-keep")
        question = f"End this run and delete what it has learned? To keep that, press {keep} instead."
        if run is not None and await self.app.push_screen_wait(ConfirmScreen(question, "End it")):
            try:
                self._runs.cancel(run)
            except AssistantError as error:
                self.notify(str(error), severity="error")
                return
            self.dismiss(None)


def numbers(progress: Progress, run: Run) -> str:
    """The numbers under the chart, in two lines at most."""
    if not progress.steps:
        return ""
    parts = [f"step {progress.step} of {progress.steps} ({progress.share:.0%})"]
    if progress.train:
        parts.append(f"loss {progress.train[-1][1]:.3f}")
    if progress.valid:
        parts.append(f"held out {progress.valid[-1][1]:.3f} {progress.valid_name}")
    if run.state == "training" and progress.left is not None:
        parts.append(f"{time_text(progress.left)} left")
    more = [f"{progress.speed:,.0f} tokens/s", f"rate {progress.rate:.2g}"]
    if progress.memory:
        more.append(f"{size_text(progress.memory * 1e6)} of memory")
    more.append(f"{parameters_text(progress.trained)} of {parameters_text(progress.parameters)} learn")
    return " · ".join(parts) + "\n" + " · ".join(more)
