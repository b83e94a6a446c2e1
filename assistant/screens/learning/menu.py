"""The training menu: what a model can be taught, the runs, and the models with their parents, in one list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.learning import adopting, pruning
from assistant.learning.progress import Progress
from assistant.learning.retraining import Retraining
from assistant.learning.reviewing import Reviewed
from assistant.learning.runs import Run, Runs
from assistant.learning.wording import STATES, outcome
from assistant.models.events import size_text
from assistant.models.shelf import Shelf
from assistant.screens.dialogs import ConfirmScreen
from assistant.screens.keyed import Keyed
from assistant.screens.keys import spelt
from assistant.screens.learning.form import FormScreen
from assistant.screens.learning.keys import MENU_INTRO, MENU_KEYS
from assistant.screens.learning.result import ResultScreen
from assistant.screens.learning.run import RunScreen
from assistant.text import printable
from assistant.verdicts.settings import SpamSettings
from assistant.widgets.key_line import KeyLine
from engine.catalog import ModelInfo
from engine.errors import EngineError
from training.recipe_wish import TITLES, Kind

LOOK_SECONDS = 1.0
Chosen = ModelInfo | None
Entry = tuple[str, str]  # ("kind" | "run" | "model", its name)


class MenuScreen(Keyed[Chosen]):
    """Ends with the model to chat with from now on, or None. `busy` says why none can be taken now, or nothing;
    `sources` is what the app itself has to learn from, by kind.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*MENU_KEYS]
    keys, intro = MENU_KEYS, MENU_INTRO

    def __init__(
        self,
        shelf: Shelf,
        runs: Runs,
        sources: Mapping[Kind, Reviewed],
        in_use: ModelInfo,
        busy: Callable[[], str] = str,
    ) -> None:
        super().__init__()
        self._shelf, self._runs, self._sources, self._in_use, self._busy = shelf, runs, sources, in_use, busy
        self._retraining = Retraining(SpamSettings(shelf.paths), runs)
        self._entries: list[Entry | None] = []
        self._progress: dict[str, Progress] = {}
        self._shown = ""
        self._was_busy = False

    def compose(self) -> ComposeResult:
        yield Static("Teach the model", id="title", markup=False)
        yield OptionList(id="menu")
        yield Static("", id="note", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self._list()
        self.query_one(OptionList).focus()
        self.set_interval(LOOK_SECONDS, self._look)

    def on_screen_resume(self) -> None:
        self._list()

    # The list

    def _look(self) -> None:
        """While a run is under way, and once after it, its line changes by itself."""
        busy = any(run.busy for run in self._runs.all())
        if busy or self._was_busy:
            self._list()
        self._was_busy = busy

    def _list(self) -> None:
        """Show what there is; the cursor stays on the entry where it was."""
        lines: list[tuple[Entry | None, Text]] = [(None, _heading("What it can learn"))]
        lines += [(("kind", kind), self._kind_line(kind)) for kind in TITLES]
        if runs := self._runs.all():
            lines.append((None, _heading("Runs")))
            lines += [(("run", run.key), self._run_line(run)) for run in runs]
        lines.append((None, _heading("Models")))
        lines += [(("model", b.info.key), self._model_line(b)) for b in adopting.tree(self._shelf)]
        text = "\n".join(line.markup for _, line in lines)
        if text == self._shown:
            return
        options, here = self.query_one(OptionList), self._here()
        self._shown, self._entries = text, [entry for entry, _ in lines]
        top = options.scroll_y
        options.clear_options()
        options.add_options(Option(line, disabled=entry is None) for entry, line in lines)
        wanted = here if here is not None and here in self._entries else next(e for e in self._entries if e is not None)
        options.highlighted = self._entries.index(wanted)
        options.scroll_to(y=top, animate=False)
        before = adopting.before(self._shelf)
        self.query_one("#note", Static).update(
            f"{spelt(self, 'teach-roll-back')} goes back to {before}" if before else ""
        )
        self.refresh_bindings()

    def _kind_line(self, kind: Kind) -> Text:
        title, about = TITLES[kind]
        if (source := self._sources.get(kind)) and (there := source.count()):
            about = f"{there} so far; what would be used is shown first"
        return Text(f"  {title:29s}", no_wrap=True, overflow="ellipsis").append(about, style="dim")

    def _run_line(self, run: Run) -> Text:
        line = Text(f"  {printable(run.wish.name)[:26]:29s}", no_wrap=True, overflow="ellipsis")
        said = STATES.get(run.state, run.state)
        if run.state == "training":
            progress = self._progress.setdefault(run.key, Progress(run.folder, run.stages))
            progress.look()
            said = f"learns: {progress.line()}"
        elif run.state == "done":
            said = outcome(run) + (" · adopted" if self._adopted(run) else " · Enter compares")
        elif run.state in ("failed", "cut off"):
            said += f": {run.text}"
        return line.append(said, style="" if run.busy else "dim")

    def _adopted(self, run: Run) -> bool:
        return self._retraining.adopted(run) if run.wish.kind == "spam" else bool(adopting.adopted(self._shelf, run))

    def _model_line(self, branch: adopting.Branch) -> Text:
        info = branch.info
        name = "   " * branch.depth + ("└ " if branch.depth else "") + printable(info.key)
        line = Text(f"  {name:29s}", no_wrap=True, overflow="ellipsis")
        marks = [("in use", info.path == self._in_use.path), ("default", self._shelf.is_default(info))]
        made = adopting.origin(info).get("kind")
        parts = [size_text(branch.size), *(mark for mark, holds in marks if holds)]
        return line.append(" · ".join([*parts, *([f"taught {made}"] if made else [])]), style="dim")

    def _here(self) -> Entry | None:
        place = self.query_one(OptionList).highlighted
        return self._entries[place] if place is not None and place < len(self._entries) else None

    def _run(self) -> Run | None:
        entry = self._here()
        return self._runs.find(entry[1]) if entry and entry[0] == "run" else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing here are not shown."""
        if action not in ("pause", "keep", "adopt", "prune", "remove", "roll_back") or not self._entries:
            return True
        if action == "roll_back":
            return bool(adopting.before(self._shelf))
        run = self._run()
        if run is None:
            return False
        return {
            "pause": run.busy or run.can_resume,
            "keep": run.state in ("training", "paused", "cut off", "failed"),
            "adopt": run.state == "done",
            "prune": run.state == "done",
            "remove": True,
        }[action]

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self.refresh_bindings()

    # What one can do

    @on(OptionList.OptionSelected)
    @work(exclusive=True, group="menu")
    async def _open(self) -> None:
        entry = self._here()
        if entry is None:
            return
        what, name = entry
        if what == "kind":
            run = await self.app.push_screen_wait(
                FormScreen(name, self._shelf, self._runs, self._sources.get(name), self._in_use)  # type: ignore[arg-type, call-overload]
            )
            if run is not None:
                await self._watch(run)
        elif what == "run" and (run := self._runs.find(name)) is not None:
            await (self._compare(run) if run.state == "done" else self._watch(run))
        elif what == "model":
            self._take(self._shelf.find(name))

    async def _watch(self, run: Run) -> None:
        await self.app.push_screen_wait(RunScreen(self._runs, run.key))
        now = self._runs.find(run.key)
        if now is not None and now.state == "done" and run.state != "done":
            await self._compare(now)

    async def _compare(self, run: Run) -> None:
        if await self.app.push_screen_wait(ResultScreen(run, self._shelf, self._adopted(run))):
            self._adopt(run)

    def _take(self, info: ModelInfo) -> None:
        """Chat with `info` from now on."""
        if info.path == self._in_use.path:
            self.notify(f"{info.key} is in use.")
        elif why := self._busy():
            self.notify(why, severity="warning")
        else:
            self.dismiss(info)

    def _adopt(self, run: Run) -> None:
        try:
            if run.wish.kind == "spam":
                self.notify(self._retraining.adopt(run), timeout=12)
                self._list()
                return
            info = adopting.adopt(self._shelf, run)
        except (AssistantError, EngineError) as error:
            self.notify(str(error), severity="error")
            return
        if run.wish.kind == "labels":
            self.notify(f"{info.key} is in the models folder: {info.path}")
            self._list()
            return
        self.app.notify(f"{info.key} is the default now. {spelt(self, 'teach-roll-back')} in this menu goes back.")
        self._list()
        self._take(info)

    def action_adopt(self) -> None:
        if (run := self._run()) is not None:
            self._adopt(run)

    def action_roll_back(self) -> None:
        try:
            info = adopting.roll_back(self._shelf)
        except (AssistantError, EngineError) as error:
            self.notify(str(error), severity="warning")
            return
        self.app.notify(f"{info.key} is the default again.")
        self._list()
        self._take(info)

    def action_pause(self) -> None:
        run = self._run()
        if run is None:
            return
        try:
            if run.busy:
                self._runs.pause(run)
                self.notify(f"{run.wish.name} saves and pauses.")
            else:
                self._runs.resume(run)
        except AssistantError as error:
            self.notify(str(error), severity="error")
        self._list()

    def action_keep(self) -> None:
        if (run := self._run()) is not None:
            try:
                self._runs.keep(run)
                self.notify(f"{run.wish.name} stops, and what it has learned is kept.")
            except AssistantError as error:
                self.notify(str(error), severity="warning")

    @work
    async def action_prune(self) -> None:
        run = self._run()
        question = "Delete checkpoints and tokens of this run? Its model, numbers and data stay."
        if run is not None and await self.app.push_screen_wait(ConfirmScreen(question, "Delete")):
            try:
                self.notify(f"{size_text(pruning.prune(run))} are free again.")
            except AssistantError as error:
                self.notify(str(error), severity="error")

    @work
    async def action_remove(self) -> None:
        run = self._run()
        if run is None:
            return
        size = size_text(pruning.size_of(run))
        what = "It ends, and what it has learned is lost." if run.state != "done" else "A model adopted from it stays."
        if await self.app.push_screen_wait(ConfirmScreen(f"Delete {run.wish.name} ({size})? {what}", "Delete")):
            try:
                self._runs.cancel(run)
            except AssistantError as error:
                self.notify(str(error), severity="error")
            self._list()


def _heading(text: str) -> Text:
    return Text(text, style="bold")
