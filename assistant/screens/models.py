"""The models, to choose, add and remove; what is being added stands below the list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label

from assistant.errors import AssistantError
from assistant.models import describing
from assistant.models.background import Background
from assistant.models.events import size_text
from assistant.models.shelf import Shelf, Unfinished
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.list_keys import MODEL_KEYS
from assistant.screens.stock import StockScreen
from assistant.text import printable
from engine.catalog import ModelInfo
from engine.errors import EngineError

WISH = "Add a folder, a .gguf file, gpt2 (-medium, -large, -xl), or OWNER/NAME from the Hugging Face Hub:"
Entry = ModelInfo | Unfinished


class ModelsScreen(StockScreen[Entry, ModelInfo | None]):
    """The model to go on with, or None. `busy` says why none can be taken now, or nothing.

    `speeds`: tokens/s that models, by name, have made here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close"), *MODEL_KEYS]
    keys = MODEL_KEYS

    def __init__(
        self,
        shelf: Shelf,
        adding: Background,
        in_use: ModelInfo,
        busy: Callable[[], str],
        speeds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(in_use.key)
        self._shelf, self._adding, self._in_use, self._busy = shelf, adding, in_use, busy
        self._speeds = speeds or {}

    def entries(self) -> Sequence[Entry]:
        return [*self._shelf.models(), *([] if self._adding.busy else self._shelf.unfinished())]

    def name_of_entry(self, entry: Entry) -> str:
        return _key(entry)

    def lines_of(self, entry: Entry) -> Text:
        if isinstance(entry, Unfinished):
            line = Text(entry.name, style="bold", no_wrap=True, overflow="ellipsis")
            return line.append(f"\n{size_text(entry.have)} have come; Enter goes on", style="not bold dim")
        line = Text(printable(entry.key), style="bold", no_wrap=True, overflow="ellipsis")
        marks = [("in use", entry.path == self._in_use.path), ("default", self._shelf.is_default(entry))]
        line.append("".join(f"  · {mark}" for mark, holds in marks if holds), style="not bold")
        speed = describing.speed_text(self._speeds.get(entry.name))
        line.append(f"\n{describing.summary(entry)} · {speed}", style="not bold dim")
        use = describing.good_for(entry)
        return line.append(f"\nGood for {use}" if use else "", style="not bold dim")

    def coming(self) -> tuple[str, int]:
        return self._adding.line, self._adding.ended

    # What one can do

    def action_use(self) -> None:
        entry = self.chosen
        if isinstance(entry, Unfinished):
            self._begin(entry.source)
        elif entry is not None and (why := self._busy()) and entry.path != self._in_use.path:
            self.notify(why, severity="warning")
        elif entry is not None:
            self.dismiss(entry)

    @work
    async def action_add(self) -> None:
        if wish := await self.app.push_screen_wait(LineScreen(WISH, "", max_length=4096)):
            self._begin(wish)

    def _begin(self, wish: str) -> None:
        if not self._adding.start(wish):
            self.notify("One at a time: another model is still coming.", severity="warning")
        self.fill()
        self._look()

    def action_stop(self) -> None:
        self._adding.stop()

    def action_default(self) -> None:
        if isinstance(entry := self.chosen, ModelInfo):
            try:
                self._shelf.set_default(entry.key)
            except (AssistantError, EngineError) as error:
                self.notify(str(error), severity="error")
            self.fill()

    @work
    async def action_info(self) -> None:
        from assistant.models.examining import examine

        if isinstance(entry := self.chosen, ModelInfo):
            problem = ""
            try:
                entry = await examine(entry)
            except AssistantError as error:
                problem = str(error)
            await self.app.push_screen_wait(InfoScreen(entry, self._shelf.is_default(entry), problem))

    @work
    async def action_remove(self) -> None:
        entry = self.chosen
        if entry is None:
            return
        if isinstance(entry, ModelInfo) and entry.path == self._in_use.path:
            self.notify(f"{entry.key} is in use. Take another model first.", severity="warning")
            return
        try:
            if await self.app.push_screen_wait(ConfirmScreen(self._shelf.question(_key(entry)), "Remove")):
                self.notify(self._shelf.remove(_key(entry)))
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self.fill()


class InfoScreen(ModalScreen[None]):
    """Everything about one model, and what is wrong with it."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,i,q,enter", "dismiss(None)", "Close")]

    def __init__(self, info: ModelInfo, default: bool, problem: str) -> None:
        super().__init__()
        self._rows, self._problem = describing.rows(info, default=default), problem

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog wide info"):
            for what, value in self._rows:
                with Horizontal(classes="row"):
                    yield Label(what, markup=False, classes="key")
                    yield Label(value, markup=False, classes="what")
            yield Label(self._problem or "Esc closes this.", markup=False, classes="note")


def _key(entry: Entry) -> str:
    return entry.key if isinstance(entry, ModelInfo) else entry.name
