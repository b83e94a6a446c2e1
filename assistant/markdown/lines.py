"""Rows → lines of a given width: wrapping, and how the columns of a table share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

from textual.content import Content

from assistant.markdown.rows import NOTHING, Row, Table

NARROWEST = 4  # columns that text is given, however deep the list it stands in
BETWEEN = " │ "  # two columns of a table
RULE = "$foreground 20%"


class Line(NamedTuple):
    """A line on screen.

    `number` is that of its row and `at` where its text starts in there: of the whole text, a selection is made.
    """

    lead: Content
    text: Content
    row: Row
    at: int
    number: int


def lines_of(rows: Iterable[Row | Table], width: int, number: int) -> Iterator[Line]:
    """The lines of `rows`, which count from `number`, in `width` columns."""
    for row in rows:
        for part in _table(row, width) if isinstance(row, Table) else [row]:
            yield from _wrapped(part, width, number)
            number += 1


def _wrapped(row: Row, width: int, number: int) -> Iterator[Line]:
    room = max(width - row.first.cell_length - 2 * row.indent, NARROWEST)
    text = row.text.plain
    at = 0
    if row.wrap == "cut":
        pieces = [row.text.truncate(room, ellipsis=True)]
    else:
        pieces = row.text.fold(room) if row.wrap == "fold" else row.text.wrap(room)
    for piece in pieces:
        yield Line(row.rest if at else row.first, piece, row, len(row.first) + at, number)
        at += len(piece)
        while row.wrap == "words" and text[at : at + 1] == " ":  # wrapping leaves out the spaces at the ends of lines
            at += 1


def _table(table: Table, width: int) -> Iterator[Row]:
    """A table as rows that need no more wrapping."""
    widths = _shares(table, max(width - table.first.cell_length, NARROWEST))
    rule = Content.styled("─┼─".join("─" * wide for wide in widths), RULE)
    high = False  # a row of more than one line: then all are told apart by rules
    lead = table.first
    for place, cells in enumerate(table.cells):
        columns = [[p for line in c.split("\n") for p in line.wrap(w)] for c, w in zip(cells, widths, strict=False)]
        high = high or (place > 0 and len(table.cells) > 2 and max(map(len, columns), default=0) > 1)
        if place == 1 or (place > 1 and high):
            yield Row(rule, "", lead, table.rest, wrap="cut")
        for line in zip_longest(*columns, fillvalue=NOTHING):
            placed = [_aligned(*cell) for cell in zip(line, widths, table.aligned, strict=False)]
            text = Content.styled(BETWEEN, RULE).join(placed)
            yield Row(text, "" if place else "bold $primary", lead, table.rest, wrap="cut")
            lead = table.rest


def _aligned(cell: Content, width: int, how: str) -> Content:
    free = max(width - cell.cell_length, 0)
    left = {"right": free, "center": free // 2}.get(how, 0)
    return cell.pad(left, free - left)


def _shares(table: Table, width: int) -> list[int]:
    """The width of each column: as it needs, or an equal share of what the narrower ones leave."""
    needs = [max(_need(row[place]) for row in table.cells if place < len(row)) for place in range(len(table.aligned))]
    left = width - len(BETWEEN) * (len(needs) - 1)
    widths = list(needs)
    for count, place in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        widths[place] = max(min(needs[place], left // (len(needs) - count)), 1)
        left -= widths[place]
    return widths


def _need(cell: Content) -> int:
    return max(line.cell_length for line in cell.split("\n", allow_blank=True))
