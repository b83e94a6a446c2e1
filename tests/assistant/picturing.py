"""Pictures of the screen as text: what stands where, in which colours. Small, and the same on every machine.

Below the text, each row of letters says in which style its characters are: "3a20b" is three of a, then twenty of b. The
legend gives each letter's style in the dark theme and in the light one. What changes by itself (a cursor's blinking) is
held still by whoever asks for a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby

from rich.style import Style
from textual.app import App

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def cells(app: App) -> list[list[tuple[str, str]]]:
    """The screen's lines: characters, each with its style in words."""
    drawn = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    words = cache(_words)
    rows = ([segment for strip in row for segment in strip] for row in drawn.strips)
    return [[(char, words(style)) for text, style, _ in row for char in text] for row in rows]


def picture(dark: list[list[tuple[str, str]]], light: list[list[tuple[str, str]]]) -> str:
    """Both themes of one screen in one text."""
    text = ["".join(char for char, _ in line).rstrip() for line in dark]
    if [[char for char, _ in line] for line in dark] != [[char for char, _ in line] for line in light]:
        raise AssertionError("the two themes say different things")
    pairs = [[(a, b) for (_, a), (_, b) in zip(*lines, strict=True)] for lines in zip(dark, light, strict=True)]
    known: dict[tuple[str, str], str] = {}
    rows = [_row(line, known) for line in pairs]
    legend = [f"{letter} = {a} | {b}" for (a, b), letter in known.items()]
    return "\n".join([*text, "---", *rows, "---", *legend, ""])


def _row(line: Iterable[tuple[str, str]], known: dict[tuple[str, str], str]) -> str:
    letters = (known.setdefault(pair, LETTERS[len(known) % len(LETTERS)]) for pair in line)
    return "".join(f"{len(list(same))}{letter}" for letter, same in groupby(letters))


def _words(style: Style | None) -> str:
    if style is None:
        return "none"
    names = [name for name in ("bold", "dim", "italic", "underline", "strike", "reverse") if getattr(style, name)]
    colours = [c.triplet.hex if c is not None and c.triplet else "default" for c in (style.color, style.bgcolor)]
    return " ".join([*names, colours[0], "on", colours[1]])
