"""RowsScreen: a list of things and their values, one a line, to change by Enter or a click; and a choice.

What the rows are and what choosing one does is the business of the screens that inherit from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from assistant.screens.list_dialog import ListDialog
from assistant.text import printable

Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """A line: its id, what it is, how it is set, and what there is to know about it; or a heading over others."""

    id: str
    name: str
    value: str = ""
    tells: str = ""
    heading: bool = False


class RowsScreen(ListDialog[Result]):
    """Has `rows()`, and does `chosen(id)` when one is picked. `heading` stands above, what a row tells below."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Close")]
    heading = ""
    end = "Enter: change · Esc: close"
    wide = 22  # columns of the names

    def rows(self) -> Sequence[Row]:
        raise NotImplementedError

    async def chosen(self, row: str) -> None:
        raise NotImplementedError

    def note(self) -> str:
        """What stands at the bottom."""
        return self.end

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide rows"):
            yield Label(self.heading, markup=False, classes="heading")
            yield OptionList()
            yield Label(self.note(), markup=False, classes="note")

    def on_mount(self) -> None:
        self.fill()
        self.query_one(OptionList).focus()

    def fill(self, here: str | None = None) -> None:
        """Show the rows as they are now; the cursor stays, or goes to the row `here`."""
        options = self.query_one(OptionList)
        self._shown = list(self.rows())
        ids = [row.id for row in self._shown]
        before = here if here is not None else self.current
        options.clear_options()
        options.add_options(Option(self._line(row), disabled=row.heading) for row in self._shown)
        first = next((place for place, row in enumerate(self._shown) if not row.heading), None)
        options.highlighted = ids.index(before) if before in ids else first

    @property
    def current(self) -> str | None:
        """The id of the row under the cursor."""
        place = self.query_one(OptionList).highlighted
        rows = getattr(self, "_shown", [])
        return rows[place].id if place is not None and place < len(rows) else None

    def _line(self, row: Row) -> Text:
        if row.heading:
            return Text(row.name, style="bold")
        value = " ".join(printable(row.value).split())
        line = Text(printable(row.name).ljust(self.wide) if value else printable(row.name), no_wrap=True)
        line.overflow = "ellipsis"
        return line.append(f" {value}" if value else "", style="bold")

    @on(OptionList.OptionHighlighted)
    def _tell(self) -> None:
        row = next((r for r in self._shown if r.id == self.current), None)
        told = f"{row.tells[:1].upper()}{row.tells[1:]}." if row and row.tells else ""
        self.query_one(".note", Label).update("\n".join(line for line in (told, self.note()) if line))
        self.fit()
        if row is not None:
            self.highlighted(row.id)

    @on(OptionList.OptionSelected)
    async def _picked(self) -> None:
        if (row := self.current) is not None:
            await self.chosen(row)

    def highlighted(self, row: str) -> None:
        """The cursor is on `row`; for whoever shows at once what it would mean."""


class PickScreen(RowsScreen[str | None]):
    """One of `choices` (id → name); None when it was called off. `preview` is told where the cursor is."""

    end = "Enter: take it · Esc: leave it as it was"

    def __init__(
        self, heading: str, choices: dict[str, str], current: str, preview: Callable[[str], None] | None = None
    ) -> None:
        super().__init__()
        self.heading, self._choices, self._current, self._preview = heading, choices, current, preview

    def rows(self) -> Sequence[Row]:
        return [Row(name, title) for name, title in self._choices.items()]

    def on_mount(self) -> None:
        super().on_mount()
        self.fill(self._current)

    def highlighted(self, row: str) -> None:
        if self._preview is not None:
            self._preview(row)

    async def chosen(self, row: str) -> None:
        self.dismiss(row)
