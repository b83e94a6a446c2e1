"""Page: parts of rows, one below the other, as lines of a width. When its end changes, only that is made anew."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.markdown.lines import Line, lines_of
from assistant.markdown.rows import Row, Table

Part = Sequence[Row | Table]


class Page:
    """Has `lines` once `fit` has said how wide they are."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.width = 0
        self._parts: list[Part] = []
        self._tops: list[int] = []  # the first line of each part

    def fit(self, width: int) -> None:
        """Have the lines be `width` columns wide."""
        if width != self.width:
            self.width = width
            self._lay(0)

    def put(self, place: int, parts: Sequence[Part]) -> int:
        """Have `parts` instead of all from `place` on. Returns the first line that may be another one now."""
        self._parts[place:] = parts
        return self._lay(place) if self.width else 0

    def _lay(self, place: int) -> int:
        """Make the lines of the parts from `place` on. Returns which is the first of them."""
        top = self._tops[place] if place < len(self._tops) else len(self.lines)
        del self.lines[top:], self._tops[place:]
        for part in self._parts[place:]:
            self._tops.append(len(self.lines))
            number = self.lines[-1].number + 1 if self.lines else 0
            self.lines += lines_of(part, self.width, number)
        return top

    @property
    def text(self) -> str:
        """What can be selected, a line for each row: `Line.number` and `Line.at` are places in here."""
        rows = {line.number: line.row.first.plain + line.row.text.plain for line in self.lines}
        return "\n".join(rows.values())
