"""PageView: a page of rows, drawn line by line by one widget; text can be selected, blocks of code and links be copied.

A widget for each paragraph, bullet and cell, as Textual's Markdown has it, took most of the time of a growing reply and
of opening a chat: to be styled, mounted and laid out. What the lines are is `assistant.markdown`'s to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message as Event
from textual.reactive import Reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from assistant.markdown.lines import Line
from assistant.markdown.page import Page, Part

EDGE = 3  # columns: the bar at the left, and one free on each side of the text


class PageView(Widget, can_focus=False):
    """What is put on its page, with a bar at the left."""

    DEFAULT_CSS = "PageView { width: 1fr; height: auto; }"
    BAR: ClassVar[str] = "$primary"
    virtual_size = Reactive(Size(0, 0), repaint=False)  # Textual's lays the screen out once more when a size is another

    class Copied(Event):
        """The reader wants `text` in the clipboard; `what` says what it is."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text, self.what = text, what

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._page = Page()
        self._wide = 0  # columns that the lines are made for
        self._drawn: dict[int, Strip] = {}

    def put(self, place: int, parts: Sequence[Part]) -> None:
        """Have `parts` instead of all from `place` on."""
        before = len(self._page.lines)
        top = self._page.put(place, parts)
        self._drawn = {y: strip for y, strip in self._drawn.items() if y < top}
        if len(self._page.lines) != before:
            self.refresh(layout=True)
        elif before:
            self.refresh(Region(0, top, self.size.width, before - top))

    @property
    def text(self) -> str:
        """What stands on it, once it is on screen."""
        return self._page.text

    # Drawing

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._fit(width)
        return len(self._page.lines)

    def _fit(self, width: int) -> None:
        if width != self._wide:
            self._wide = width
            self._page.fit(max(width - EDGE, 1))
            self._drawn.clear()

    def notify_style_update(self) -> None:
        self._drawn.clear()
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        """As Textual's; but what was drawn stays so when the height changes, as it does while a reply grows."""
        if not self.is_attached:  # it was taken away and is drawn a last time
            return [self._drawn.get(y, Strip.blank(crop.width)) for y in crop.line_range]
        self._fit(self.size.width)
        strips = []
        for y in crop.line_range:
            if (strip := self._drawn.get(y)) is None:
                strip = self.render_line(y)
                for line_filter in self.get_line_filters():
                    strip = strip.apply_filter(line_filter, self.background_colors[1])
                self._drawn[y] = strip
            strips.append(strip if crop.width == self.size.width else strip.crop(*crop.column_span))
        return strips

    def render_line(self, y: int) -> Strip:
        width, ground = self.size.width, self.visual_style
        if y >= len(self._page.lines):
            return Strip.blank(width, ground.background_style.rich_style)
        line = self._page.lines[y]
        style = ground + self._get_style(line.row.style)
        begins = line.at == len(line.lead)
        segments = self._segments(line.lead, ground, 0 if begins else None, line.number)
        if line.row.indent:
            segments.append(Segment(" " * line.row.indent, style.background_style.rich_style))
        segments += self._segments(self._marked(line), style, line.at, line.number)
        plain = ground.background_style.rich_style
        bar = Segment("█" if self.has_class("-selected") else "▎", (ground + self._get_style(self.BAR)).rich_style)
        text = Strip(segments).adjust_cell_length(width - EDGE, style.background_style.rich_style)
        return Strip([bar, Segment(" ", plain), *text]).adjust_cell_length(width, plain)

    def _segments(self, text: Content, style: Style, at: int | None, number: int) -> list[Segment]:
        """`text` drawn; where it is known which place of which row it is, the mouse can select it."""
        segments = []
        for piece, own in text.render(style, end="", parse_style=self._get_style):
            own = style + own
            segments.append(Segment(piece, own.rich_style if at is None else own.rich_style_with_offset(at, number)))
            at = None if at is None else at + len(piece)
        return segments

    # Selecting and clicking

    def _marked(self, line: Line) -> Content:
        """The text of a line, what is selected of it marked."""
        selection = self.text_selection
        span = selection.get_span(line.number) if selection else None
        if span is None:
            return line.text
        style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
        start, end = span
        return line.text.stylize(style, max(start - line.at, 0), max(end - line.at, 0) if end >= 0 else None)

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        return selection.extract(self.text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self._drawn.clear()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        lines = self._page.lines
        if event.y < len(lines) and (code := lines[event.y].row.code) is not None:
            self.post_message(self.Copied(code, "The block of code"))

    def action_link(self, address: str) -> None:
        self.post_message(self.Copied(address, "The address of the link"))
