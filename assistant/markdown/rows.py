"""Row: a piece of text that is wrapped as one (a paragraph, a heading, a line of code); and tables.

What lists and quotes put before their text is part of a row. Widths are not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from textual.content import Content

NOTHING = Content("")


@dataclass(frozen=True)
class Row:
    """A row of text.

    Args:
        text: without line ends.
        style: of the whole row, as wide as the reply is; the theme's colours, as in Textual's markup.
        first: what stands before its first line, a bullet, say.
        rest: what stands before the lines it goes on in; as wide as `first`.
        indent: columns of the row's own ground before and after each line.
        code: what a click on it copies.
        wrap: how it ends with the line: at "words", wherever the line is full ("fold"), or for good ("cut").
    """

    text: Content
    style: str = ""
    first: Content = NOTHING
    rest: Content = NOTHING
    indent: int = 0
    code: str | None = None
    wrap: str = "words"


@dataclass(frozen=True)
class Table:
    """Cells by row, the headings first; how each column is aligned (left, right or center); else as in a Row."""

    cells: list[list[Content]]
    aligned: list[str]
    first: Content = NOTHING
    rest: Content = NOTHING


def led(rows: Iterable[Row | Table], first: Content, rest: Content) -> Iterator[Row | Table]:
    """`rows` with `first` before the first of them and `rest` before all that follow."""
    lead = first
    for row in rows:
        yield replace(row, first=lead + row.first, rest=rest + row.rest)
        lead = rest
