"""Markdown → blocks of rows. Of a text that grows, only the last blocks are read anew.

Parsing is markdown-it's, colouring of code Pygments' by way of Textual.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from textual.content import Content
from textual.highlight import highlight

from assistant.markdown.inline import inline
from assistant.markdown.rows import NOTHING, Row, Table, led

HEADINGS = {
    f"h{level}": f"$markdown-h{level}-color $markdown-h{level}-text-style on $markdown-h{level}-background"
    for level in range(1, 7)
}
CODE, CODE_BAR, RULE = "on $panel 50%", "$foreground 70% on $panel", "$foreground 70%"
BULLETS = "•▪‣⭑◦"  # by how deep the list is
BOXES = {"[ ] ": "☐", "[x] ": "☑"}  # of tasks
BAR = Content.styled("▌ ", "$primary 50%")  # of a quote


class Block(NamedTuple):
    """A paragraph, a whole list, …: where it starts in the text, and whether a blank line is before it.

    What stands before such a block is read the same however the text goes on.
    """

    start: int
    apart: bool
    rows: list[Row | Table]


def blocks_of(text: str, start: int = 0) -> list[Block]:
    """The blocks of `text` from character `start` on, which is where a block starts. All but the first begin blank."""
    lines = text[start:].split("\n")
    offsets = [start]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    blocks: list[Block] = []
    for group in _groups(parser().parse(text[start:])):
        where = group[0].map[0] if group[0].map else 0
        gap = [Row(NOTHING)] if start or blocks else []
        apart = where == 0 or not lines[where - 1].strip()
        blocks.append(Block(offsets[where], apart, [*gap, *_rows(group)]))
    return blocks


class Growing:
    """Markdown to which more may be added."""

    def __init__(self, source: str) -> None:
        self.source, self.blocks = source, blocks_of(source)

    def append(self, more: str) -> int:
        """Returns how many of the first blocks are what they were; nothing that follows can change those."""
        self.source += more
        stay = next((place for place in range(len(self.blocks) - 1, 0, -1) if self.blocks[place].apart), 0)
        self.blocks[stay:] = blocks_of(self.source, self.blocks[stay].start if stay else 0)
        return stay


@cache
def parser() -> MarkdownIt:
    return MarkdownIt("gfm-like")


def _groups(tokens: Iterable[Token]) -> Iterator[list[Token]]:
    """The tokens of each block that is not within another one of `tokens`."""
    group: list[Token] = []
    for token in tokens:
        group.append(token)
        if token.nesting <= 0 and token.level == group[0].level:
            yield group
            group = []


def _rows(group: list[Token]) -> Iterator[Row | Table]:
    token, within = group[0], group[1:-1]
    if token.type in ("paragraph_open", "heading_open"):
        for line in inline(within[0].children or []).split("\n", allow_blank=True):
            yield Row(line, HEADINGS.get(token.tag, ""))
    elif token.type in ("bullet_list_open", "ordered_list_open"):
        yield from _list(token, within)
    elif token.type == "blockquote_open":
        yield from led(_below(within), BAR, BAR)
    elif token.type in ("fence", "code_block"):
        yield from _code(token.content.rstrip("\n"), token.info.split(maxsplit=1)[0] if token.info.strip() else "")
    elif token.type == "table_open":
        yield _table(within)
    elif token.type == "hr":
        yield Row(Content("─" * 3), RULE)
    else:  # HTML
        for text in token.content.rstrip("\n").split("\n"):
            yield Row(Content(text.expandtabs(4)))


def _below(tokens: Iterable[Token], *, in_list: bool = False) -> Iterator[Row | Table]:
    """Blocks one below the other, a blank line between them where they need one."""
    for number, group in enumerate(_groups(tokens)):
        if number and not group[0].hidden and not (in_list and group[0].type.endswith("list_open")):
            yield Row(NOTHING)
        yield from _rows(group)


def _list(opening: Token, within: list[Token]) -> Iterator[Row | Table]:
    items = list(_groups(within))
    start = int(opening.attrs.get("start", 1))
    wide = len(str(start + len(items) - 1))
    for number, item in enumerate(items, start):
        mark = BULLETS[opening.level // 2 % len(BULLETS)] if opening.tag == "ul" else f" {number:{wide}}."
        mark = _box(item) or mark
        rows = list(_below(item[1:-1], in_list=True)) or [Row(NOTHING)]
        yield from led(rows, Content.styled(f"{mark} ", "$text-primary"), Content(" " * (len(mark) + 1)))


def _box(item: list[Token]) -> str:
    """The box of a task ("[x] "), which is taken from the item's text; empty where it has none."""
    words = next((child for token in item[1:3] for child in token.children or []), None)
    box = BOXES.get(words.content[:4].lower(), "") if words is not None and words.type == "text" else ""
    if box and words is not None:
        words.content = words.content[4:]
    return box


def _code(code: str, language: str) -> Iterator[Row]:
    """A line to click for copying it, and the code."""
    yield Row(Content(f"{language or 'text'}  ·  copy"), CODE_BAR, indent=2, code=code)
    yield Row(NOTHING, CODE)
    for line in highlight(code.expandtabs(4), language=language or "text").split("\n", allow_blank=True):
        yield Row(line, CODE, indent=2, wrap="fold")
    yield Row(NOTHING, CODE)


def _table(within: list[Token]) -> Table:
    cells: list[list[Content]] = []
    aligned = []
    for token in within:
        if token.type == "tr_open":
            cells.append([])
        elif token.type == "th_open":
            aligned.append(str(token.attrs.get("style", "text-align:left")).removeprefix("text-align:"))
        elif token.type == "inline":
            cells[-1].append(inline(token.children or []))
    return Table(cells, aligned)
