"""Replacing in text, remembering where everything came from: a place in the result leads back to the source."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edits:
    """One pass over a text: which parts of the source became which parts of the result, in order."""

    source: list[tuple[int, int]] = field(default_factory=list)  # start, end in the source
    result: list[tuple[int, int]] = field(default_factory=list)  # start, end in the result

    def add(self, start: int, end: int, at: int, length: int) -> None:
        """source[start:end] was replaced by `length` characters that start at `at` in the result."""
        self.source.append((start, end))
        self.result.append((at, at + length))

    def back(self, position: int, *, end: bool = False) -> int:
        """The place in the source of `position` in the result; inside a replacement: its start, or its `end`."""
        index = bisect_right(self.result, (position - end, 1 << 60)) - 1
        if index < 0:
            return position
        if position < self.result[index][1] or (end and position == self.result[index][1]):
            return self.source[index][end]
        return position - self.result[index][1] + self.source[index][1]


def substitute(
    pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str | None], text: str
) -> tuple[str, Edits]:
    """`pattern.sub(replace, text)` and its edits; where `replace` gives None the match stays as it is."""
    pieces: list[str] = []
    edits, copied, length = Edits(), 0, 0
    for match in pattern.finditer(text):
        new = replace(match)
        if new is None or match.start() < copied:
            continue
        start, stop = match.span()
        pieces += (text[copied:start], new)
        length += start - copied
        edits.add(start, stop, length, len(new))
        length += len(new)
        copied = stop
    if not pieces:
        return text, edits
    pieces.append(text[copied:])
    return "".join(pieces), edits


def lead_back(passes: list[Edits], start: int, end: int) -> tuple[int, int]:
    """The span of the first pass's source that result[start:end] of the last pass came from."""
    for edits in reversed(passes):
        start, end = edits.back(start), max(edits.back(end, end=True), edits.back(start))
    return start, end
