"""The passages that fit a question and the model's context, and the question with them as the model reads it.

Pure of screens and processes; who finds passages and counts tokens is handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from assistant.storage.libraries import Source
from assistant.text import printable

SHARE = 0.4  # of the context for passages: the reply has a quarter, the rest is the question's and the chat's
FEWEST, MOST = 3, 8  # passages for a context of 1,024 tokens, and for any
AROUND = 40  # tokens of the words around passages and question


def most(context: int) -> int:
    """How many passages a context of this many tokens may have."""
    return max(FEWEST, min(MOST, context // 512))


def budget(context: int, question: int, reply: int) -> int:
    """Tokens for passages beside a question and a reply of these lengths in a context of `context` tokens."""
    return max(0, min(int(context * SHARE), context - min(reply, context // 4) - question - AROUND))


def chosen(found: Sequence[Source], tokens: Sequence[int], room: int, most: int) -> list[Source]:
    """The first of `found`, the best, that have room; one that is too long for what is left is passed over."""
    kept: list[Source] = []
    for source, size in zip(found, tokens, strict=True):
        if len(kept) < most and size <= room:
            kept.append(source)
            room -= size
    return kept


def with_passages(question: str, sources: Sequence[Source]) -> str:
    """What the model reads for `question`. The best passage stands last, nearest to the question."""
    passages = "\n\n".join(passage(source) for source in reversed(sources))
    return f"{passages}\n\n{question}" if sources else question


def passage(source: Source) -> str:
    """A passage as the model reads it."""
    return f"{source.heading}\n{source.text}" if source.heading else source.text


def label(source: Source) -> str:
    """Where a passage is from, for people: "DESIGN.md › Storage, page 3"."""
    page = f", page {source.page}" if source.page is not None else ""
    return " › ".join(part for part in (Path(source.path).name, source.heading) if part) + page


def line(number: int, source: Source) -> str:
    """A passage in a list: its number, where it is from, and how it begins."""
    return printable(f"{number} {label(source)}: {' '.join(source.text[:200].split())}")
