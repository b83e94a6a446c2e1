"""Inline styles as far as they hide text: display, visibility, size, colour against background, position."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from selectolax.lexbor import LexborNode

_NAMED = {
    **{"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0)},
    **{"yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192)},
    **{"snow": (255, 250, 250), "ivory": (255, 255, 240), "whitesmoke": (245, 245, 245), "navy": (0, 0, 128)},
    **{"ghostwhite": (248, 248, 255), "floralwhite": (255, 250, 240), "aqua": (0, 255, 255), "lime": (0, 255, 0)},
}
_DECLARATION = re.compile(r"([a-z-]+)\s*:\s*([^;]+)", re.IGNORECASE)
_STYLE_SHEET = re.compile(r"<style[^>]*>(.{0,50000}?)</style", re.IGNORECASE | re.DOTALL)
_RULE = re.compile(r"([.#][\w-]{1,80})\s*\{([^{}]{0,2000})\}")
_MEDIA = re.compile(r"@media[^{]{0,500}\{(?:[^{}]{0,2000}\{[^{}]{0,2000}\}){0,200}[^{}]{0,500}\}", re.IGNORECASE)
Colour = tuple[int, int, int]
Rules = dict[str, str]


@dataclass(frozen=True)
class Look:
    """What an element hands on to those inside it."""

    unseen: str | None = None  # why it cannot be seen
    colour: Colour = (0, 0, 0)
    background: Colour | None = (255, 255, 255)  # None: a picture, so that nothing can be said


def class_rules(html: str) -> Rules:
    """`.name` or `#name` → declarations, from style sheets within `html`, without those for some screens only."""
    rules: Rules = {}
    for sheet in _STYLE_SHEET.findall(html)[:20]:
        for name, declarations in _RULE.findall(_MEDIA.sub("", sheet)):
            rules[name] = f"{rules.get(name, '')};{declarations}"
    return rules


def look_of(node: LexborNode, outer: Look, rules: Rules) -> Look:
    """The look of `node` inside an element that looks like `outer`."""
    attributes = node.attributes
    if not attributes or outer.unseen in ("hidden", "tiny"):
        return outer
    style = _declarations(attributes, rules)
    if why := _hidden(attributes, style):
        return replace(outer, unseen=why)
    colour, background = outer.colour, outer.background
    if named := style.get("color") or attributes.get("color") or attributes.get("text"):
        colour = parse_colour(named) or colour
    shown = style.get("background-color") or style.get("background") or attributes.get("bgcolor") or ""
    if "url(" in shown or style.get("background-image", "none") != "none" or attributes.get("background"):
        background = None
    elif shown:
        background = parse_colour(shown.split()[0] if "rgb" not in shown else shown) or background
    same = background is not None and sum(abs(a - b) for a, b in zip(colour, background, strict=True)) <= 24
    return Look("same colour" if same else None, colour, background)


def _declarations(attributes: dict[str, str | None], rules: Rules) -> dict[str, str]:
    text = attributes.get("style") or ""
    if rules:
        names = [f".{name}" for name in (attributes.get("class") or "").split()[:20]] + [f"#{attributes.get('id')}"]
        text = ";".join([*(rules[name] for name in names if name in rules), text])
    return {key.lower(): value.strip().lower() for key, value in _DECLARATION.findall(text[:5000])}


def _hidden(attributes: dict[str, str | None], style: dict[str, str]) -> str | None:
    if "hidden" in attributes or style.get("display", "").startswith("none"):
        return "hidden"
    if style.get("visibility", "").startswith(("hidden", "collapse")) or style.get("mso-hide") == "all":
        return "hidden"
    if _number(style.get("opacity", "1")) == 0:
        return "hidden"
    clipped = any(_number(style.get(side, "1")) == 0 for side in ("max-height", "height", "max-width", "width"))
    if clipped and "hidden" in style.get("overflow", ""):
        return "hidden"
    if any((_number(style.get(side, "0")) or 0) <= -500 for side in ("text-indent", "left", "top", "margin-left")):
        return "hidden"
    size = style.get("font-size") or (style.get("font") or "").partition("/")[0].split(" ")[-1]
    number = _number(size) if size[:1].isdigit() or size[:1] == "." else None
    small = {"em": 0.2, "rem": 0.2, "%": 15.0}
    if number is not None and number <= next((most for unit, most in small.items() if size.endswith(unit)), 2.0):
        return "tiny"
    return None


def _number(value: str) -> float | None:
    found = re.match(r"-?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})", value.strip())
    return float(found[0]) if found else None


def parse_colour(value: str) -> Colour | None:
    """(red, green, blue), 0 … 255, of "#fff", "#ffffff", "rgb(255, 255, 255)" or a common name; None for others."""
    value = value.strip().lower().removesuffix("!important").strip()
    if value in _NAMED:
        return _NAMED[value]
    if found := re.fullmatch(r"#?([0-9a-f]{6}|[0-9a-f]{3})", value):
        digits = found[1] if len(found[1]) == 6 else "".join(c * 2 for c in found[1])
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
    if found := re.match(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})", value):
        return min(int(found[1]), 255), min(int(found[2]), 255), min(int(found[3]), 255)
    return None
