"""TokenText: tokens as running text, each shaded, one of them chosen. What the shades mean is the screen's to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from assistant.inspecting.flow import Flow
from assistant.inspecting.shades import LEVELS

STRONGEST = 0.45  # of a shade's colour; more would make the text hard to read


class TokenText(ScrollView, can_focus=False):  # the arrows are the screen's
    """Lines of tokens. `shade(index)` is a level from 0 to LEVELS, or None for the prompt's plain stripes."""

    class Chosen(Message):
        """A token was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__(id="tokens")
        self._texts: list[str] = []
        self._shade: Callable[[int], int | None] = lambda index: 0
        self._colour = "primary"
        self._flow = Flow(80)
        self._cursor = 0

    def show(self, texts: Sequence[str], cursor: int, shade: Callable[[int], int | None], colour: str) -> None:
        """Show `texts`, the tokens as they are to be read, in shades of the theme's `colour`."""
        self._shade, self._colour, self._cursor = shade, colour, cursor
        self._lay(list(texts))
        self.refresh()
        self._reveal()

    def on_resize(self) -> None:
        self._lay(self._texts)
        self._reveal()

    def _lay(self, texts: list[str]) -> None:
        """Lay out what is new; all of it where something else has changed."""
        width = max(4, self.scrollable_content_region.width)
        known = len(self._flow.where)
        if width != self._flow.width or texts[:known] != self._texts[:known] or len(texts) < known:
            self._flow, known = Flow(width), 0
        self._texts = texts
        for text in texts[known:]:
            self._flow.add(text)
        self.virtual_size = Size(width, len(self._flow.lines))

    def _reveal(self) -> None:
        if self._cursor < len(self._flow.where):
            line = self._flow.where[self._cursor]
            self.scroll_to_region(Region(0, max(0, line - 1), 1, 3), animate=False, force=True)

    def beside(self, by: int) -> int:
        """The token `by` lines below the chosen one."""
        return self._flow.beside(self._cursor, by) if self._texts else 0

    def on_click(self, event: events.Click) -> None:
        where = event.get_content_offset(self)
        if where is not None:
            index = self._flow.at(where.x, where.y + round(self.scroll_offset.y))
            if index is not None:
                self.post_message(self.Chosen(index))

    def render_line(self, y: int) -> Strip:
        line = y + round(self.scroll_offset.y)
        spans = self._flow.lines[line] if line < len(self._flow.lines) else []
        segments = [Segment(span.text, self._style(span.index)) for span in spans]
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)

    def _style(self, index: int) -> Style:
        if index == self._cursor:
            return self.rich_style + Style(reverse=True, bold=True)
        level = self._shade(index)
        values = self.app.theme_variables
        if self.app.native_ansi_color:
            return self.rich_style  # the terminal's own colours cannot be mixed: digits say it
        if level is None:  # a prompt's tokens: every other one on another ground
            ground = values["panel"] if index % 2 else values["surface"]
            return self.rich_style + Style(bgcolor=Color.parse(ground).rich_color)
        if not level:
            return self.rich_style
        return self.rich_style + Style(bgcolor=shaded(values, self._colour, level).rich_color)


def shaded(values: dict[str, str], colour: str, level: int) -> Color:
    """The theme's background with so much of `colour` in it."""
    return Color.parse(values["background"]).blend(Color.parse(values[colour]), STRONGEST * level / LEVELS, 1.0)
