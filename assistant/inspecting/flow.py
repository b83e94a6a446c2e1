"""Flow: tokens laid out in lines of a width, so that one knows where each is. No colours and no widgets."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells


@dataclass
class Span:
    """A stretch of one line that belongs to token `index`."""

    index: int
    text: str
    start: int  # column

    @property
    def end(self) -> int:
        return self.start + cell_len(self.text)


@dataclass
class Flow:
    """Lines of spans. Tokens are added in their order; a line breaks where a word begins, if there is a place."""

    width: int
    lines: list[list[Span]] = field(default_factory=lambda: [[]])
    where: list[int] = field(default_factory=list)  # token → the line it begins in

    def add(self, text: str) -> None:
        """The next token, as it is shown; a newline in it ends the line."""
        index = len(self.where)
        self.where.append(-1)
        for number, part in enumerate(text.split("\n")):
            if number:
                self.lines.append([])
            if part:
                self._put(index, part)
        if self.where[index] < 0:
            self.where[index] = len(self.lines) - 1

    def _put(self, index: int, part: str) -> None:
        if self.lines[-1] and self._column() + cell_len(part) > self.width:
            self._break(part)
        for stretch in chop_cells(part, self.width):
            if self.lines[-1] and self._column() + cell_len(stretch) > self.width:
                self.lines.append([])
            self._append(index, stretch)

    def _append(self, index: int, text: str) -> None:
        self.lines[-1].append(Span(index, text, self._column()))
        if self.where[index] < 0:
            self.where[index] = len(self.lines) - 1

    def _break(self, part: str) -> None:
        """Begin a line; the word that `part` goes on with moves along, where it is short."""
        line, moved = self.lines[-1], []
        if not part.startswith(" "):
            begins = next((at for at in range(len(line) - 1, 0, -1) if line[at].text.startswith(" ")), 0)
            if begins and line[-1].end - line[begins].start <= self.width // 2:
                moved = line[begins:]
                del line[begins:]
        self.lines.append([])
        for span in moved:
            if self.where[span.index] == len(self.lines) - 2:
                self.where[span.index] = -1
            self._append(span.index, span.text)

    def _column(self) -> int:
        return self.lines[-1][-1].end if self.lines[-1] else 0

    def at(self, column: int, line: int) -> int | None:
        """The token shown there."""
        if not 0 <= line < len(self.lines):
            return None
        return next((span.index for span in self.lines[line] if span.start <= column < span.end), None)

    def beside(self, index: int, by: int) -> int:
        """The token `by` lines below (above) token `index`, as near to its column as there is one."""
        line = self.where[index]
        column = next((span.start for span in self.lines[line] if span.index == index), 0)
        step = 1 if by > 0 else -1
        line += by
        while 0 <= line < len(self.lines) and not self.lines[line]:
            line += step  # an empty line
        if not 0 <= line < len(self.lines):
            return index
        return min(self.lines[line], key=lambda span: abs(span.start - column)).index
