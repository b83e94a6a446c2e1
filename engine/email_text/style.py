"""Style: what hides an element, and what of it is seen.

Owns how an element looks that has these declarations, inside one that looks so: size, colour against background,
clipping, moving away, and the gaps and turned letters that make words. Which declarations it has is `css`'s to say.
What cannot be told hides nothing. Nothing here raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property

from engine.email_text.colours import NUMBER, Rgba, over, rgba

_LINES = """
    p div br tr table h1 h2 h3 h4 h5 h6 li ul ol blockquote pre hr section article header footer form center dl dt dd
"""
BLOCKS = frozenset(_LINES.split())
READABLE = 5.0  # pixels: text that is smaller is not read
_WINDOW = 960.0, 720.0  # pixels, of the window that we read in
_AWAY = 500.0  # pixels to the left or above, where nobody scrolls to
_FAR = 3000.0  # pixels to the right or below
_ALIKE = 54  # sum of three differences: #eee on white is that, and #ddd, which can be read, is not
_UNITS = {
    **{"px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 9.6 / 2.54, "q": 2.4 / 2.54, "rem": 16.0},
    **{"vw": _WINDOW[0] / 100, "vh": _WINDOW[1] / 100, "vmin": _WINDOW[1] / 100, "vmax": _WINDOW[0] / 100},
}
_OF_LETTERS = {"em": 1.0, "ex": 0.5, "ch": 0.5}
_SIZES = {
    **{"xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0},
    **{"xx-large": 32.0, "xxx-large": 48.0, "initial": 16.0},
}
_LENGTH = re.compile(rf"({NUMBER})(%|[a-z]{{0,4}})")
_PICTURE = re.compile(r"(?:url|gradient|image|image-set|element|paint|var)\(")
_WORD = re.compile(r"[a-z-]{0,30}\([^()]*\)|[^\s()]+")
_NO_COLOUR = re.compile(  # what a background may say besides its colour
    rf"none|inherit|initial|unset|revert|(?:no-)?repeat(?:-[xy])?|space|round|scroll|fixed|local|top|bottom|left|right"
    rf"|center|cover|contain|auto|/|(?:border|padding|content)-box|{NUMBER}(?:%|[a-z]{{2,4}})?"
)
_NO_SIZE_OF_ITS_OWN = ("inherit", "unset", "revert", "larger", "smaller")
_CLIPS = frozenset(["hidden", "clip", "auto", "scroll"])
_CLIPPED_AWAY = re.compile(
    r"inset\(\s*(?:[5-9]\d|\d{3,5})(?:\.\d{1,9})?%|(?:circle|ellipse)\(\s*0(?![.\d])"
    r"|polygon\(\s*0[a-z%]{0,3}\s+0[a-z%]{0,3}(?:\s*,\s*0[a-z%]{0,3}\s+0[a-z%]{0,3}){0,20}\s*\)"
)
_MOVED = re.compile(r"translate(?:x|y|3d)?\(([^()]{1,100})\)")
_NEXT_TO_NOTHING = r"\(\s*0?(?:\.0\d{0,30})?(?![.\d])"
_SCALED_AWAY = re.compile(rf"scale(?:x|y|3d)?{_NEXT_TO_NOTHING}")
_SEEN_THROUGH = re.compile(rf"opacity{_NEXT_TO_NOTHING}")
_MORE_BOXES = "body main nav aside figure fieldset address details summary"
_BOXES = (BLOCKS - {"table", "tr"}) | frozenset(_MORE_BOXES.split())
CONTROLS = frozenset(["button", "input", "select", "textarea"])

Style = dict[str, str]  # property → value


@dataclass(frozen=True)
class Look:
    """What an element hands on to those inside it."""

    colour: Rgba | None = (0, 0, 0, 1)  # None: unknown, so that nothing can be said
    background: Rgba | None = (255, 255, 255, 1)  # None: unknown, or a picture
    size: float = 16.0  # of letters, in pixels
    indent: float = 0.0
    reversed: bool = False  # its direction is from right to left
    invisible: bool = False  # until something inside is visible again
    folded: bool = False  # in <details>, until its <summary>
    gone: bool = False  # for good
    room: bool = True  # whether it takes a place on the page

    @cached_property
    def unseen(self) -> str | None:
        """Why its text cannot be seen: "hidden", "tiny" or "same colour"; None if it can."""
        if self.gone or self.invisible or self.folded or self.indent <= -_AWAY:
            return "hidden"
        if self.size < READABLE:
            return "tiny"
        if self.colour is None or (self.background is None and self.colour[3] > 0):
            return None
        seen = over(self.colour, self.background)
        if seen is None or self.background is None:
            return "same colour"
        distance = sum(abs(a - b) for a, b in zip(seen[:3], self.background[:3], strict=True))
        return "same colour" if distance <= _ALIKE else None


def look_of(tag: str, style: Style, outer: Look) -> Look:
    """The look of an element of this `style` inside one that looks like `outer`."""
    if outer.gone or (not style and tag != "summary"):
        return outer
    size = _size(style.get("font-size", "inherit"), outer.size)
    visibility = style.get("visibility", "inherit")
    shown = visibility in ("visible", "initial")
    colour = outer.colour
    if named := style.get("-webkit-text-fill-color") or style.get("color"):
        # A name that nobody knows changes nothing; a function may give any colour.
        colour = rgba(named) or (None if "(" in named else outer.colour)
    gone = style.get("display") == "none"
    return replace(
        outer,
        colour=colour,
        background=_background(style, outer.background),
        size=size,
        indent=_length(style, "text-indent", size) if "text-indent" in style else outer.indent,
        reversed=style.get("direction") == "rtl" if "direction" in style else outer.reversed,
        invisible=visibility in ("hidden", "collapse") or (outer.invisible and not shown),
        folded=style.get("content-visibility") == "hidden" or (outer.folded and tag != "summary"),
        gone=gone or _faint(style) or _clipped(tag, style, size) or _away(style, size),
        room=outer.room and not gone and not _out_of_flow(style),
    )


def overrides(style: Style) -> bool:
    """Whether letters are set from one side to the other, whatever they are."""
    return style.get("unicode-bidi") in ("bidi-override", "isolate-override")


def gaps(tag: str, style: Style) -> tuple[bool, bool]:
    """Whether a gap as of a space is seen before and after an element that breaks no line."""
    display = style.get("display", "inline")
    if tag in CONTROLS or (tag not in BLOCKS and display.startswith(("block", "flex", "grid", "table", "list-item"))):
        return True, True
    before, after = (
        _length(style, f"margin-{side}") + _length(style, f"padding-{side}") >= 2 for side in ("left", "right")
    )
    return before, after or (display == "inline-block" and "width" in style)


def pixels(value: str, letters: float = 16.0, whole: float = _WINDOW[0]) -> float | None:
    """The length `value`, where letters are `letters` high and 100 % is `whole`; None of what is no length."""
    found = _LENGTH.fullmatch(value)
    if not found:
        return None
    number, unit = float(found[1]), found[2]
    if unit == "%":
        return number * whole / 100
    if unit in _OF_LETTERS:
        return number * _OF_LETTERS[unit] * letters
    if unit in _UNITS:
        return number * _UNITS[unit]
    return 0.0 if not unit and number == 0 else None


def is_size(value: str) -> bool:
    """Whether `value` is a size of letters, as `font` may name it among other things."""
    return value == "inherit" or value in _SIZES or pixels(value) is not None


def _length(style: Style, key: str, letters: float = 16.0) -> float:
    return pixels(style.get(key, ""), letters) or 0.0


def _size(value: str, outer: float) -> float:
    if value in _NO_SIZE_OF_ITS_OWN:
        return outer
    if "(" in value:  # calc() and the like may give any
        return 16.0
    size = _SIZES.get(value, pixels(value, outer, outer))
    return outer if size is None or size < 0 else size


def _out_of_flow(style: Style) -> bool:
    return style.get("position") in ("absolute", "fixed")


def _faint(style: Style) -> bool:
    value = style.get("opacity", "1")
    opacity = float(value.rstrip("%")) / (100 if value.endswith("%") else 1)
    return opacity < 0.1 or bool(_SEEN_THROUGH.search(style.get("filter", "")))


def _clipped(tag: str, style: Style, size: float) -> bool:
    """Whether its box is next to nothing and what is outside of it is not shown."""
    placed = _out_of_flow(style)
    if placed and (found := re.fullmatch(r"rect\(([^()]{1,100})\)", style.get("clip", ""))):
        sides = [pixels(side, size) for side in re.split(r"[\s,]+", found[1].strip())]
        if len(sides) == 4 and None not in sides:
            top, right, bottom, left = (side or 0.0 for side in sides)
            if bottom - top <= 2 or right - left <= 2:
                return True
    if _CLIPPED_AWAY.match(style.get("clip-path", "")):
        return True
    # What is in a line has no height of its own, and a cell is as large as what it holds.
    display = style.get("display", "block" if tag in _BOXES else "inline")
    boxed = display not in ("inline", "contents", "table", "table-row", "table-cell")
    if not (boxed or placed or style.get("float") in ("left", "right")):
        return False
    if not _CLIPS & {style.get("overflow-x"), style.get("overflow-y")}:
        return False
    for side in ("height", "width"):
        lengths = [pixels(style.get(key, ""), size) for key in (side, f"max-{side}")]
        small = any(length is not None and length <= 2 for length in lengths)
        if small and _length(style, f"min-{side}", size) <= 2:
            return True
    return False


def _away(style: Style, size: float) -> bool:
    """Whether it is moved out of the window, or scaled down to nothing."""
    placed = style.get("position") in ("absolute", "fixed", "relative", "sticky")
    for side in ("left", "top"):
        offset = _length(style, f"margin-{side}", size) + _length(style, f"padding-{side}", size)
        offset += _length(style, side, size) if placed else 0
        if not -_AWAY < offset < _FAR:
            return True
    if placed and any(_length(style, side, size) <= -_AWAY for side in ("right", "bottom")):
        return True
    transform = style.get("transform", "")
    moves = [pixels(part.strip(), size) or 0 for found in _MOVED.findall(transform) for part in found.split(",")]
    return any(abs(move) >= _AWAY for move in moves) or bool(_SCALED_AWAY.search(transform))


def _background(style: Style, below: Rgba | None) -> Rgba | None:
    if _PICTURE.search(style.get("background-image", "")):
        return None
    value = style.get("background-color")
    if value is None:
        return below
    for word in _WORD.findall(value):
        if colour := rgba(word):
            return over(colour, below)
        if not _NO_COLOUR.fullmatch(word):
            return None
    return below
