"""Page: a text of Markdown as lines of a width; when it grows, only its end is read and laid out anew."""

from __future__ import annotations

from assistant.markdown.blocks import Block, blocks_of, kept
from assistant.markdown.lines import Line, lines_of


class Page:
    """`source` as `lines`, once `fit` has said how wide they are."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: list[Line] = []
        self.width = 0
        self._blocks = blocks_of(source)
        self._tops: list[int] = []  # the first line of each block

    def fit(self, width: int) -> None:
        """Have the lines be `width` columns wide."""
        if width != self.width:
            self.width, self.lines, self._tops = width, [], []
            self._lay(self._blocks)

    def append(self, more: str) -> int:
        """Add `more` at the end. Returns the first line that may be another one now."""
        self.source += more
        stay = kept(self._blocks)
        new = blocks_of(self.source, self._blocks[stay].start if stay else 0)
        self._blocks[stay:] = new
        if not self.width:
            return 0
        top = self._tops[stay] if stay else 0
        self.lines[top:], self._tops[stay:] = [], []
        self._lay(new)
        return top

    def _lay(self, blocks: list[Block]) -> None:
        """Add the lines of `blocks`."""
        for block in blocks:
            self._tops.append(len(self.lines))
            number = self.lines[-1].number + 1 if self.lines else 0
            self.lines += lines_of(block.rows, self.width, number)

    @property
    def text(self) -> str:
        """What can be selected, a line for each row: `Line.number` and `Line.at` are places in here."""
        rows = {line.number: line.row.first.plain + line.row.text.plain for line in self.lines}
        return "\n".join(rows.values())
