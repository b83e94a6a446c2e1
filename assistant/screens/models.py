"""The models, to choose, add and remove: a list, what is being added below it, and buttons that name their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ItemGrid, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Label, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.models import describing
from assistant.models.background import Background
from assistant.models.events import size_text
from assistant.models.shelf import Shelf, Unfinished
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.text import printable
from engine.catalog import ModelInfo
from engine.errors import EngineError

LOOK_SECONDS = 0.25  # between two looks at what is being added
WISH = "Add a folder, a .gguf file, gpt2 (-medium, -large, -xl), or OWNER/NAME from the Hugging Face Hub:"
Entry = ModelInfo | Unfinished


class ModelsScreen(ModalScreen[ModelInfo | None]):
    """The model to go on with, or None. `busy` says why none can be taken now, or nothing.

    `speeds`: tokens/s that models, by name, have made here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("a", "add", "Add"),
        Binding("d", "default", "Default"),
        Binding("i", "info", "Info"),
        Binding("delete,backspace", "remove", "Remove"),
        Binding("s", "stop", "Stop"),
    ]

    def __init__(
        self,
        shelf: Shelf,
        adding: Background,
        in_use: ModelInfo,
        busy: Callable[[], str],
        speeds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self._shelf, self._adding, self._in_use, self._busy = shelf, adding, in_use, busy
        self._speeds = speeds or {}
        self._entries: list[Entry] = []
        self._ended = adding.ended

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide models"):
            yield OptionList()
            with Horizontal(id="coming"):
                yield Label("", markup=False, id="progress")
                yield Button("Stop (s)", compact=True, id="stop")
            with ItemGrid(classes="buttons", min_column_width=14):
                yield Button("Use (↵)", variant="primary", compact=True, id="use")
                yield Button("Add (a)", compact=True, id="add")
                yield Button("Default (d)", compact=True, id="default")
                yield Button("Info (i)", compact=True, id="info")
                yield Button("Remove (Del)", compact=True, id="remove")

    def on_mount(self) -> None:
        self._list()
        self.query_one(OptionList).focus()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def _list(self) -> None:
        """Show what there is; the cursor stays where it was, and begins at the model in use."""
        options, here = self.query_one(OptionList), self._chosen()
        self._entries = [*self._shelf.models(), *([] if self._adding.busy else self._shelf.unfinished())]
        options.clear_options()
        options.add_options(Option(self._line(entry)) for entry in self._entries)
        wanted = _key(here) if here is not None else self._in_use.key
        keys = [_key(entry) for entry in self._entries]
        options.highlighted = keys.index(wanted) if wanted in keys else 0 if keys else None

    def _line(self, entry: Entry) -> Text:
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

    def _look(self) -> None:
        """At what is being added."""
        self.query_one("#coming").display = bool(self._adding.line)
        self.query_one("#progress", Label).update(self._adding.line)
        if self._ended != self._adding.ended:
            self._ended = self._adding.ended
            self._list()

    def _chosen(self) -> Entry | None:
        place = self.query_one(OptionList).highlighted
        return self._entries[place] if place is not None and place < len(self._entries) else None

    # What one can do

    @on(Button.Pressed)
    async def _pressed(self, event: Button.Pressed) -> None:
        await self.run_action(str(event.button.id))
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def action_use(self) -> None:
        entry = self._chosen()
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
        self._list()
        self._look()

    def action_stop(self) -> None:
        self._adding.stop()

    def action_default(self) -> None:
        if isinstance(entry := self._chosen(), ModelInfo):
            try:
                self._shelf.set_default(entry.key)
            except (AssistantError, EngineError) as error:
                self.notify(str(error), severity="error")
            self._list()

    @work
    async def action_info(self) -> None:
        from assistant.models.examining import examine

        if isinstance(entry := self._chosen(), ModelInfo):
            problem = ""
            try:
                entry = await examine(entry)
            except AssistantError as error:
                problem = str(error)
            await self.app.push_screen_wait(InfoScreen(entry, self._shelf.is_default(entry), problem))

    @work
    async def action_remove(self) -> None:
        entry = self._chosen()
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
        self._list()


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
