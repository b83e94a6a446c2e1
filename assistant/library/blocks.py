"""Block: a paragraph, heading, list or table of a document, and the blocks of plain text and Markdown.

Files of other kinds are `extracting.py`; joining blocks into passages is `chunking.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")


@dataclass(frozen=True)
class Block:
    text: str
    level: int = 0  # of a heading, 1 (the highest) … 6; 0: no heading
    page: int | None = None


def plain_blocks(text: str, page: int | None = None) -> list[Block]:
    """Paragraphs: what stands between empty lines."""
    return [Block(part.strip("\n"), page=page) for part in re.split(r"\n[ \t]*\n", text) if part.strip()]


def markdown_blocks(text: str) -> list[Block]:
    """Paragraphs and headings; a fenced piece of code is one block, whatever is in it."""
    blocks: list[Block] = []
    lines: list[str] = []
    fence = ""

    def done() -> None:
        if any(line.strip() for line in lines):
            blocks.append(Block("\n".join(lines).strip("\n")))
        lines.clear()

    for line in text.split("\n"):
        if fence:
            lines.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
                done()
        elif found := _FENCE.match(line):
            done()
            fence = found[1]
            lines.append(line)
        elif found := _ATX.match(line):
            done()
            blocks.append(Block(found[2].strip(), len(found[1])))
        elif (found := _SETEXT.match(line)) and len(lines) == 1:
            title = lines.pop().strip()
            blocks.append(Block(title, 1 if found[1][0] == "=" else 2))
        elif line.strip():
            lines.append(line)
        else:
            done()
    done()
    return blocks
