"""Choices and HeatStrips: below the text, what else could have come, and what the chosen token looks at."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from assistant.inspecting.heat import Row, relative, strongest
from assistant.inspecting.inspection import Inspection
from assistant.inspecting.shades import bar, blocks, column_of, percent, quoted, squeezed

BAR = 16  # columns
LABEL = 10  # columns before a strip


class Choices(Static):
    """The likeliest tokens at the chosen place, numbered by the keys that branch from them."""

    class Picked(Message):
        """A click on choice `number`."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self) -> None:
        super().__init__("", markup=False, id="choices")

    def show(self, inspection: Inspection) -> None:
        piece, lines = inspection.piece, [Content.styled(inspection.describe(), "bold")]
        for number, choice in enumerate(piece.choices if piece else (), 1):
            ends = choice.token in inspection.end_tokens
            said = piece is not None and choice.token == piece.token and inspection.cursor < len(inspection.pieces)
            mark = "  ← said" if said else ""
            text = f"{number}  {bar(choice.probability, BAR)} {percent(choice.probability):>8}  {quoted(choice.text)}"
            text += ("  the reply ends" if ends else "") + mark
            lines.append(Content.styled(text, "bold" if said else ""))
        if piece is not None and piece.probability is None:
            lines.append(Content("What else was likely is known inside the reply only."))
        self.update(Content("\n").join(lines))

    def on_click(self, event: events.Click) -> None:
        where = event.get_content_offset(self)
        if where is not None and where.y >= 1:
            self.post_message(self.Picked(where.y))


class HeatStrips(Static):
    """A strip for each layer, and for each head of the layer one is at; a block for each place of the context."""

    class Picked(Message):
        """A click on a row."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    def __init__(self) -> None:
        super().__init__("", markup=False, id="heat")
        self._shown: list[Row] = []
        self._last: tuple[Inspection, str] | None = None

    def on_resize(self) -> None:
        if self._last is not None:
            self.show(*self._last)

    def show(self, inspection: Inspection, waiting: str) -> None:
        """The chosen token's strips, or `waiting` where they have not come."""
        self._last, heat = (inspection, waiting), inspection.heat
        if heat is None:
            self._shown = []
            self.update(waiting)
            return
        width = max(8, self.content_size.width - LABEL)
        rows = heat.rows(inspection.row.layer)
        here = rows.index(inspection.row) if inspection.row in rows else 0
        room = max(1, self.content_size.height - 2)
        top = max(0, min(here - room // 2, len(rows) - room))
        self._shown = rows[top : top + room]
        lines = [Content.styled(self._words(inspection), "bold"), Content(_ruler(inspection, width))]
        for row in self._shown:
            label = f"{'▸' if row == inspection.row else ' '}{row.name}".ljust(LABEL)
            strip = blocks(relative(squeezed(heat.weights(row), width)))
            style = "$text-accent" if row == inspection.row else "$foreground 60%"
            lines.append(Content.assemble((label, "bold" if row == inspection.row else ""), (strip, style)))
        self.update(Content("\n").join(lines))

    def _words(self, inspection: Inspection) -> str:
        """What the chosen row looks at most."""
        heat = inspection.heat
        assert heat is not None
        found = strongest(heat.weights(inspection.row), 4)
        named = [
            f"{quoted(inspection.pieces[at * heat.span].text)}{'…' if heat.span > 1 else ''} {percent(weight)}"
            for at, weight in found
        ]
        piece = inspection.piece
        return f"{quoted(piece.text) if piece else ''} looks at " + ", ".join(named)

    def on_click(self, event: events.Click) -> None:
        where = event.get_content_offset(self)
        if where is not None and 0 <= where.y - 2 < len(self._shown):
            self.post_message(self.Picked(self._shown[where.y - 2]))


def _ruler(inspection: Inspection, width: int) -> str:
    """Above the strips: where the prompt is and where the reply."""
    places = inspection.cursor + 1
    columns = min(places, width)
    begins = column_of(min(inspection.prompt, places - 1), places, width) if inspection.prompt < places else columns
    parts = ("prompt", "·", begins), ("reply", "─", columns - begins)
    return " " * LABEL + "".join((name if len(name) <= room else "").ljust(room, line) for name, line, room in parts)
