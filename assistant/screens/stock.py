"""StockScreen: a list of things one has, what is on its way below it, and buttons that name their keys.

The models and the libraries are such lists; what there is and what is done with it is theirs (models.py, libraries.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, ItemGrid, Vertical
from textual.widgets import Button, Label, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.screens.bindings import key_name
from assistant.screens.list_dialog import ListDialog
from engine.errors import EngineError

LOOK_SECONDS = 0.25  # between two looks at what is on its way
Entry = TypeVar("Entry")
Result = TypeVar("Result")


class StockScreen(ListDialog[Result], Generic[Entry, Result]):
    """The cursor begins at the entry called `first`. Every key has a button; those in `always` need no entry."""

    keys: ClassVar[Sequence[Binding]] = ()  # its BINDINGS too
    always: ClassVar[Sequence[str]] = ("add",)
    narrowest = 14  # columns of a button

    def __init__(self, first: str) -> None:
        super().__init__()
        self._first = first
        self._listed: list[Entry] = []
        self._ended: Any = None

    def entries(self) -> Sequence[Entry]:
        raise NotImplementedError

    def name_of_entry(self, entry: Entry) -> str:
        raise NotImplementedError

    def lines_of(self, entry: Entry) -> Text:
        raise NotImplementedError

    def coming(self) -> tuple[str, int]:
        """A line about what is on its way, "" for nothing; and how many of these have ended."""
        raise NotImplementedError

    def nothing(self) -> str:
        """What is said in the place of an empty list."""
        return ""

    def compose(self) -> ComposeResult:
        keymap = getattr(self.app, "keymap", {})
        labels = {key.action: f"{key.description} ({key_name(key, keymap)})" for key in self.keys}
        with Vertical(classes="dialog wide models"):
            yield Label(self.nothing(), markup=False, id="none")
            yield OptionList()
            with Horizontal(id="coming"):
                yield Label("", markup=False, id="progress")
                yield Button(labels.pop("stop"), compact=True, id="stop")
            with ItemGrid(classes="buttons", min_column_width=self.narrowest):
                yield Button("Use (↵)", variant="primary", compact=True, id="use")
                for action, label in labels.items():
                    yield Button(label, compact=True, id=action)

    def on_mount(self) -> None:
        self.fill(self._first)
        self.query_one(OptionList).focus()
        self._look()
        self.set_interval(LOOK_SECONDS, self._look)

    def fill(self, wanted: str = "") -> None:
        """Show what there is; the cursor stays where it was, or goes to the entry called `wanted`."""
        options, here = self.query_one(OptionList), self.chosen
        try:
            self._listed = list(self.entries())
        except (AssistantError, EngineError) as error:
            self.notify(str(error), severity="error")
        options.clear_options()
        options.add_options(Option(self.lines_of(entry)) for entry in self._listed)
        names = [self.name_of_entry(entry) for entry in self._listed]
        wanted = wanted or (self.name_of_entry(here) if here is not None else "")
        options.highlighted = names.index(wanted) if wanted in names else 0 if names else None
        options.display, self.query_one("#none").display = bool(names), not names
        for button in self.query(".buttons Button"):
            button.display = bool(names) or button.id in self.always
        self.fit()

    def _look(self) -> None:
        """At what is on its way."""
        line, ended = self.coming()
        self.query_one("#progress", Label).update(line)
        if self.query_one("#coming").display != bool(line):
            self.query_one("#coming").display = bool(line)
            self.fit()
        if self._ended not in (None, ended):
            self.fill()
        self._ended = ended

    @property
    def chosen(self) -> Entry | None:
        """The entry under the cursor."""
        place = self.query_one(OptionList).highlighted
        return self._listed[place] if place is not None and place < len(self._listed) else None

    @on(Button.Pressed)
    async def _pressed(self, event: Button.Pressed) -> None:
        await self.run_action(str(event.button.id))
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        self.action_use()

    def action_use(self) -> None:
        raise NotImplementedError
