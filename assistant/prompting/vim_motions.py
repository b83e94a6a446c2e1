"""Where vim's motions lead in a text: pure functions on lines and (row, column). The keys are widgets/vim.py."""

from __future__ import annotations

from collections.abc import Sequence

Place = tuple[int, int]
# Whether an operator takes the character that the motion ends on, too.
INCLUSIVE = {"e", "$"}
MOTIONS = {"h", "l", "w", "b", "e", "0", "^", "$", "gg", "G"}


def _kind(character: str) -> int:
    """0: space, 1: a word's character, 2: another one."""
    return 0 if character.isspace() else 1 if character.isalnum() or character == "_" else 2


def move(lines: Sequence[str], place: Place, motion: str, count: int = 1, *, counted: bool = False) -> Place:
    """Where `motion`, done `count` times, leads from `place`. `counted`: a number was typed before it."""
    row, column = place
    if motion == "h":
        return row, max(0, column - count)
    if motion == "l":
        return row, min(len(lines[row]), column + count)
    if motion == "0":
        return row, 0
    if motion == "^":
        return row, len(lines[row]) - len(lines[row].lstrip())
    if motion == "$":
        return row, max(0, len(lines[row]) - 1)
    if motion in ("gg", "G"):
        last = len(lines) - 1
        return (min(count - 1, last) if counted else 0 if motion == "gg" else last), 0
    text, starts = "\n".join(lines), _starts(lines)
    at = starts[row] + column
    step = {"w": _word, "b": _back, "e": _end}[motion]
    for _ in range(count):
        at = step(text, at)
    return _place(starts, at)


def _starts(lines: Sequence[str]) -> list[int]:
    starts = [0]
    for line in lines[:-1]:
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _place(starts: list[int], at: int) -> Place:
    row = next(i for i in range(len(starts) - 1, -1, -1) if starts[i] <= at)
    return row, at - starts[row]


def _word(text: str, at: int) -> int:
    """The beginning of the next word."""
    if at >= len(text):
        return at
    kind = _kind(text[at])
    while at < len(text) and kind and _kind(text[at]) == kind:
        at += 1
    while at < len(text) and not _kind(text[at]):
        at += 1
    return at


def _back(text: str, at: int) -> int:
    """The beginning of this word, or of the one before."""
    at = max(0, at - 1)
    while at and not _kind(text[at]):
        at -= 1
    while at and _kind(text[at - 1]) == _kind(text[at]):
        at -= 1
    return at


def _end(text: str, at: int) -> int:
    """The end of this word, or of the next one."""
    at += 1
    while at < len(text) - 1 and not _kind(text[at]):
        at += 1
    while at < len(text) - 1 and _kind(text[at + 1]) == _kind(text[at]):
        at += 1
    return min(at, max(0, len(text) - 1))
