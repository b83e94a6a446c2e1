"""SourcesScreen: the passages that a reply was given, and the text of the one the cursor is on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from assistant.library.grounding import line
from assistant.paths import homely
from assistant.storage.libraries import Source
from assistant.text import printable


class SourcesScreen(ModalScreen[None]):
    """Shows `sources`, the one at `place` first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(self, sources: Sequence[Source], place: int = 0) -> None:
        super().__init__()
        self._sources, self._place = sources, place

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide sources"):
            lines = (line(number, one) for number, one in enumerate(self._sources, 1))
            yield OptionList(*(Option(Text(one, no_wrap=True, overflow="ellipsis")) for one in lines))
            with VerticalScroll():
                yield Static("", markup=False, id="passage")
            yield Label("↑ ↓ the passages · y copies · Esc closes this.", markup=False, classes="note")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = min(self._place, len(self._sources) - 1)
        options.focus()

    @on(OptionList.OptionHighlighted)
    def _show(self, event: OptionList.OptionHighlighted) -> None:
        source = self._sources[event.option_index]
        page = f"page {source.page}" if source.page is not None else ""
        where = [printable(part) for part in (homely(source.path), source.heading, page) if part]
        self.query_one("#passage", Static).update("\n".join([*where, "", printable(source.text)]))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_copy(self) -> None:
        place = self.query_one(OptionList).highlighted
        if place is not None:
            self.app.copy_to_clipboard(self._sources[place].text)
            self.notify("The passage is in the clipboard.")
