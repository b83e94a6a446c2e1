"""MarkdownView: a text of Markdown that can grow, drawn line by line by one widget.

Textual's own makes a widget of every paragraph, bullet and cell: styling, mounting and laying out those took most of
the time of a growing reply, and of a chat that is opened. What the lines are is `assistant.markdown`'s to say.
"""

from __future__ import annotations

from rich.segment import Segment
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message as Event
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from assistant.markdown.lines import Line
from assistant.markdown.page import Page


class MarkdownView(Widget, can_focus=False):
    """Markdown to read; blocks of code can be copied, text selected."""

    DEFAULT_CSS = "MarkdownView { width: 1fr; height: auto; }"

    class Copied(Event):
        """The reader wants `text` in the clipboard; `what` says what it is."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text, self.what = text, what

    def __init__(self, source: str) -> None:
        super().__init__()
        self._page = Page(source)

    @property
    def source(self) -> str:
        """What is on screen."""
        return self._page.source

    def append(self, more: str) -> None:
        """Add `more` at the end."""
        before = len(self._page.lines)
        top = self._page.append(more)
        if len(self._page.lines) == before:
            self.refresh(Region(0, top, self._page.width, before - top))
        else:
            self.refresh(layout=True)

    def replace(self, source: str) -> None:
        """Be `source` instead."""
        self._page = Page(source)
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._page.fit(width)
        return len(self._page.lines)

    def render_line(self, y: int) -> Strip:
        self._page.fit(self.size.width)
        if y >= len(self._page.lines):
            return Strip.blank(self.size.width, self.visual_style.rich_style)
        line = self._page.lines[y]
        ground = self.visual_style
        style = ground + self._get_style(line.row.style)
        begins = line.at == len(line.lead)
        segments = self._segments(line.lead, ground, 0 if begins else None, line.number)
        if line.row.indent:
            segments.append(Segment(" " * line.row.indent, style.rich_style))
        segments += self._segments(self._selected(line), style, line.at, line.number)
        return Strip(segments).adjust_cell_length(self.size.width, style.rich_style)

    def _segments(self, text: Content, style: Style, at: int | None, number: int) -> list[Segment]:
        """`text` drawn; where it is known which place of which row it is, the mouse can select it."""
        segments = []
        for piece, own in text.render(style, end="", parse_style=self._get_style):
            own = style + own
            segments.append(Segment(piece, own.rich_style if at is None else own.rich_style_with_offset(at, number)))
            at = None if at is None else at + len(piece)
        return segments

    def _selected(self, line: Line) -> Content:
        """The text of a line, what is selected of it marked."""
        selection = self.text_selection
        span = selection.get_span(line.number) if selection else None
        if span is None:
            return line.text
        style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
        start, end = span
        return line.text.stylize(style, max(start - line.at, 0), max(end - line.at, 0) if end >= 0 else None)

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        return selection.extract(self._page.text), "\n"

    def on_click(self, event: events.Click) -> None:
        lines = self._page.lines
        if event.y < len(lines) and (code := lines[event.y].row.code) is not None:
            self.post_message(self.Copied(code, "The block of code"))

    def action_link(self, address: str) -> None:
        self.post_message(self.Copied(address, "The address of the link"))
