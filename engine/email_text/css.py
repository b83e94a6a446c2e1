"""Style sheets: which declarations of a mail's CSS apply to an element.

Owns what is not read as CSS, rules, selectors, declarations and the cascade: from `<style>`, the attribute `style`, the
older attributes of HTML (`bgcolor`, `<font color>`) and what browsers say by themselves, to one `Style`. Of selectors
it knows `tag`, `.class`, `#id` and `tag.class`; a rule with any other does not apply, and one that asks what an element
is in makes unsure what it says. Time is linear in what is read.
Nothing here raises: what is no CSS is left out, as browsers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.email_text.colours import NUMBER
from engine.email_text.style import CONTROLS, Style, is_size

# What is not read as CSS. A part without its end goes on to the end, so that each is met once.
_INERT = re.compile(
    r"""/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|(url\()[^)"']*\)?|\\([0-9a-f]{1,6})\s?|<!--|-->""",
    re.IGNORECASE | re.DOTALL,
)
_COMBINED = re.compile(r"[\s>+~]+")
_SELECTOR = re.compile(r"[a-z][a-z0-9]{0,20}|(?:[a-z][a-z0-9]{0,20})?[.#][\w-]{1,80}", re.IGNORECASE)
_VALID = {  # browsers pass over a declaration whose value they do not know, and so the one before it counts
    "display": re.compile(
        r"none|block|inline|inherit|initial|unset|contents|flex|grid|list-item|flow-root"
        r"|inline-(?:block|flex|grid|table)|table(?:-[a-z-]{3,20})?|-(?:webkit|moz)-(?:inline-)?box"
    ),
    "visibility": re.compile(r"visible|hidden|collapse|inherit|initial|unset"),
    "opacity": re.compile(rf"{NUMBER}%?"),
}
_PROPERTIES = """
    background-color background-image bottom clip clip-path color content-visibility direction display filter float
    font-size height left margin-left margin-right margin-top max-height max-width min-height min-width opacity
    overflow-x overflow-y padding-left padding-right padding-top position right text-indent top transform unicode-bidi
    visibility width -webkit-text-fill-color
"""
_READ = frozenset(_PROPERTIES.split())
_SHORT = frozenset(["background", "font", "inset", "margin", "overflow", "padding"])
_SIDES_FROM = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3)}  # how many words → whose is which
_OWN = 100  # how exact the attribute `style` is: more than any selector
_COLOURED_CELLS = frozenset(["body", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "marquee"])
_OWN_LOOK = {"font-size": "13px", "color": "black", "background-color": "#eee", "text-indent": "0"}
_NEVER_SHOWN = frozenset(["datalist", "audio", "video", "canvas", "noframes", "noembed", "rp"])

Attributes = dict[str, str | None]
_Rank = tuple[bool, int, int]  # whether it is important, how exact its selector is, and how late it comes
_Ranked = dict[str, tuple[_Rank, str]]
_Declared = dict[str, tuple[str, bool]]  # property → value, and whether it is important


class Rules:
    """Style sheets: selector → what its rules declare."""

    def __init__(self) -> None:
        self._declared: dict[str, _Ranked] = {}
        self._perhaps: dict[str, _Ranked] = {}  # of rules that ask what an element is in, by what they ask of itself
        self._number = 0

    def add(self, sheet: str, media: str = "", kind: str = "") -> None:
        """Read a style sheet whose element has these attributes `media` and `type`."""
        if not _any_screen(media) or kind.strip().lower() not in ("", "text/css"):
            return
        for selectors, declarations in _rules(_plain(sheet)):
            self._number += 1
            declared = _declared(declarations)
            for selector in selectors.split(","):
                *outer, last = _COMBINED.split(selector.strip())
                if declared and _SELECTOR.fullmatch(last):
                    tag, class_, id_ = re.split(r"[.#]", last)[0], "." in last, "#" in last
                    into = self._perhaps if outer else self._declared
                    name = tag.lower() + last[len(tag) :]
                    exact = 20 * id_ + 10 * class_ + bool(tag)
                    _take(into.setdefault(name, {}), _ranked(declared, exact, self._number))

    def style_of(self, tag: str, attributes: Attributes) -> Style:
        """What applies to an element, each property once."""
        found: _Ranked = {name: ((False, -1, 0), value) for name, value in _by_default(tag, attributes).items()}
        names = [tag]
        if self._declared or self._perhaps:
            for name in (attributes.get("class") or "").split()[:20]:
                names += [f".{name}", f"{tag}.{name}"]
            if id_ := attributes.get("id"):
                names += [f"#{id_}", f"{tag}#{id_}"]
        for name in names:
            _take(found, self._declared.get(name, {}))
        if own := attributes.get("style"):
            _take(found, _ranked(_declared(_plain(own)), _OWN, 0))
        for name in names:
            for key, (rank, value) in self._perhaps.get(name, {}).items():
                _doubt(found, key, rank, value)
        return {key: value for key, (_, value) in found.items()}


def _any_screen(media: str) -> bool:
    """Whether what is said for `media` holds on every screen."""
    kinds = [kind.split() for kind in media.lower().split(",")]
    return not media.strip() or any(kind in (["all"], ["screen"], ["only", "screen"]) for kind in kinds)


def _plain(css: str) -> str:
    """`css` without comments and what is in strings and addresses, and with letters for their escapes."""
    return _INERT.sub(_replaced, css)


def _replaced(inert: re.Match[str]) -> str:
    if inert[1]:
        return "url()"
    if inert[2]:
        letter = chr(min(int(inert[2], 16), 0x10FFFF))
        return letter if letter.isalnum() or letter in "-_" else "?"
    return '""' if inert[0][0] in "\"'" else " "


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """(selectors, declarations) of the rules that hold on every screen."""
    pieces = re.split(r"([{}])", sheet)
    blocks = [("", True)]  # those that are open: (selectors, or "" of a group of rules; whether it counts)
    for text, brace in zip(pieces[::2], pieces[1::2], strict=False):
        selectors, counts = blocks[-1]
        if brace == "{":
            head = text.rpartition(";")[2].strip()
            if selectors:  # a rule within a rule
                blocks.append(("", False))
            elif head.startswith("@"):
                name, media = [*head.split(None, 1), ""][:2]
                blocks.append(("", counts and name.lower() == "@media" and _any_screen(media)))
            else:
                blocks.append((head, counts))
            continue
        if selectors and counts:
            yield selectors, text
        if len(blocks) > 1:
            blocks.pop()
    if blocks[-1][0] and blocks[-1][1]:
        yield blocks[-1][0], pieces[-1]


def _declared(css: str) -> _Declared:
    """What `css` declares, each property once: it may be taken for any number of selectors."""
    found: _Declared = {}
    for piece in css.split(";"):
        key, colon, value = piece.partition(":")
        key = key.strip().lower()
        if not colon or (key not in _READ and key not in _SHORT):
            continue
        value, mark, important = value.strip().lower().partition("!")
        if important.strip() not in ("", "important"):
            continue
        for name, part in _longhands(key, value.strip()):
            known = bool(part) and (name not in _VALID or bool(_VALID[name].fullmatch(part)))
            if known and (mark or name not in found or not found[name][1]):
                found[name] = part, bool(mark)
    return found


def _ranked(declared: _Declared, exact: int, number: int) -> _Ranked:
    return {key: ((important, exact, number), value) for key, (value, important) in declared.items()}


def _take(into: _Ranked, new: _Ranked) -> None:
    """Add what is `new`, where nothing outranks it."""
    for key, (rank, value) in new.items():
        if key not in into or into[key][0] <= rank:
            into[key] = rank, value


def _doubt(found: _Ranked, key: str, perhaps: _Rank, value: str) -> None:
    """What a rule that may apply makes unsure: it may show what others hide, so that they hide nothing."""
    if key in ("background-color", "background-image"):
        inner = found.get(key, found.get("background-color"))
        if value not in ("none", "transparent", "inherit") and not (inner and _outranks(inner[0], perhaps)):
            found["background-image"] = perhaps, "var()"
    elif key in found and found[key][1] != value and not _outranks(found[key][0], perhaps):
        if key == "color":
            found[key] = perhaps, "var()"
        else:
            del found[key]


def _outranks(rank: _Rank, perhaps: _Rank) -> bool:
    """Whether a rule of `rank` counts more, whatever else one that may apply asks: then it has to be an element's own
    style, or the only one that is important."""
    return (rank[0], rank[1] == _OWN) > (perhaps[0], False)


def _longhands(key: str, value: str) -> list[tuple[str, str]]:
    """The declarations that `key: value` is short for."""
    words = value.split()
    if key == "background":
        return [("background-color", value), ("background-image", value)]
    if key == "overflow":
        return [("overflow-x", words[0]), ("overflow-y", words[-1])] if words else []
    if key == "font":
        return [("font-size", size) for word in words if is_size(size := word.partition("/")[0])][:1]
    if key in _SHORT:
        if not words or "(" in value:
            return []
        lengths = [words[at] for at in _SIDES_FROM[min(len(words), 4)]]
        named = [side if key == "inset" else f"{key}-{side}" for side in ("top", "right", "bottom", "left")]
        return [(name, length) for name, length in zip(named, lengths, strict=True) if name in _READ]
    return [(key, value)]


def _by_default(tag: str, attributes: Attributes) -> Style:
    """What browsers and attributes other than `style` say of an element."""
    style: Style = dict(_OWN_LOOK) if tag in CONTROLS else {}
    unseen = tag in _NEVER_SHOWN or "hidden" in attributes or (tag == "dialog" and "open" not in attributes)
    if unseen or (tag == "input" and (attributes.get("type") or "").strip().lower() == "hidden"):
        style["display"] = "none"
    if tag == "details" and "open" not in attributes:
        style["content-visibility"] = "hidden"
    if tag == "a" and "href" in attributes:
        style["color"] = "#0000ee"
    if tag == "font" and "size" in attributes:
        style["font-size"] = "13px"  # its seven sizes can all be read
    if colour := attributes.get({"font": "color", "body": "text"}.get(tag, "")):
        style["color"] = colour.strip().lower()
    if tag in _COLOURED_CELLS:
        if colour := attributes.get("bgcolor"):
            style["background-color"] = colour.strip().lower()
        if attributes.get("background"):
            style["background-image"] = "url()"
    if direction := attributes.get("dir"):
        style["direction"] = direction.strip().lower()
        if tag == "bdo":
            style["unicode-bidi"] = "bidi-override"
    return style
