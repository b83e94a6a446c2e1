"""Blocks of a document → passages: short pieces that can be understood alone, each under its headings.

A passage never crosses a heading or a page. It begins with the end of the one before, so that what is said across the
border is found too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from assistant.library.blocks import Block

# Characters: about 120 tokens of English, so that three passages and a question fit a context of 1,024 tokens.
TARGET = 500
OVERLAP = 120  # at most this much of the passage before is said again
# Where a sentence ends, also one that ends in a quotation mark; Chinese and Japanese have no space there.
_SENTENCE = re.compile(r"""(?<=[.!?…])\s+|(?<=[.!?…]["'”’)\]])\s+|(?<=[。！？])|\n""")


@dataclass(frozen=True)
class Passage:
    text: str
    heading: str = ""  # the way to it: "Install › On Linux"
    page: int | None = None


def passages(blocks: Iterable[Block]) -> list[Passage]:
    """The passages of a document, in its order."""
    headings: list[str] = []
    made: list[Passage] = []
    group: list[str] = []
    page: int | None = None

    def done() -> None:
        heading = " › ".join(part for part in headings if part)
        made.extend(Passage(text, heading, page) for text in _packed(group))
        group.clear()

    for block in blocks:
        if block.level or block.page != page:
            done()
            page = block.page
        if block.level:
            headings[block.level - 1 :] = [""] * max(0, block.level - 1 - len(headings)) + [block.text]
        else:
            group.append(block.text)
    done()
    return made


def _packed(paragraphs: list[str]) -> Iterator[str]:
    """Paragraphs joined, and long ones parted, to texts of about TARGET characters."""
    held = ""
    for piece, glue in _pieces(paragraphs):
        if held and len(held) + len(piece) > TARGET:
            yield held
            held = _end(held)
            held = held if len(held) + len(piece) <= TARGET else ""
            glue = " " if held else ""
        held = f"{held}{glue}{piece}" if held else piece
    if held:
        yield held


def _pieces(paragraphs: list[str]) -> Iterator[tuple[str, str]]:
    """Pieces no longer than TARGET, each with what stands between it and the one before."""
    for paragraph in paragraphs:
        if len(paragraph) <= TARGET:
            yield paragraph, "\n\n"
            continue
        glue = "\n\n"
        for sentence in filter(None, map(str.strip, _SENTENCE.split(paragraph))):
            while len(sentence) > TARGET:  # a table, code or a language without full stops
                cut = sentence.rfind(" ", TARGET // 2, TARGET)
                cut = cut if cut > 0 else TARGET
                yield sentence[:cut], glue
                sentence, glue = sentence[cut:].lstrip(), " "
            yield sentence, glue
            glue = " "


def _end(text: str) -> str:
    """The last whole sentences of `text`, OVERLAP characters at most."""
    kept = ""
    for sentence in reversed([s for s in _SENTENCE.split(text) if s.strip()]):
        if len(kept) + len(sentence) > OVERLAP:
            break
        kept = f"{sentence.strip()} {kept}".strip()
    return kept
