"""Colours as CSS writes them: their names, their numbers, and what is seen of one in front of another."""

from __future__ import annotations

import colorsys
import re

NUMBER = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"  # as CSS writes it, for colours and lengths alike
_TABLE = """
    aliceblue f0f8ff antiquewhite faebd7 aqua 0ff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 black 000
    blanchedalmond ffebcd blue 00f blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00
    chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 0ff darkblue 00008b
    darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkkhaki bdb76b darkmagenta 8b008b
    darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f
    darkslateblue 483d8b darkslategray 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493
    deepskyblue 00bfff dimgray 696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22
    fuchsia f0f gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 goldenrod daa520 gray 808080 green 008000
    greenyellow adff2f honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0 khaki f0e68c
    lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080
    lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightpink ffb6c1
    lightsalmon ffa07a lightseagreen 20b2aa lightskyblue 87cefa lightslategray 789 lightsteelblue b0c4de
    lightyellow ffffe0 lime 0f0 limegreen 32cd32 linen faf0e6 magenta f0f maroon 800000 mediumaquamarine 66cdaa
    mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371 mediumslateblue 7b68ee
    mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970 mintcream f5fffa
    mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23
    orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98 paleturquoise afeeee
    palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6
    purple 800080 rebeccapurple 639 red f00 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072
    sandybrown f4a460 seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd
    slategray 708090 snow fffafa springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8
    tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3 white fff whitesmoke f5f5f5 yellow ff0
    yellowgreen 9acd32 transparent 0000 initial 000 window fff windowtext 000 canvas fff canvastext 000
"""
_NAMED = {name: f"#{digits}" for name, digits in zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True)}
_NAMED |= {name.replace("gray", "grey"): digits for name, digits in _NAMED.items()}
_DIGITS = re.compile(r"#?(?:[0-9a-f]{3}|[0-9a-f]{6})|#(?:[0-9a-f]{4}|[0-9a-f]{8})")
_FUNCTION = re.compile(r"(rgb|hsl)a?\(([^()]{1,100})\)")
_PART = re.compile(rf"{NUMBER}(?:%|deg)?")

Colour = tuple[int, int, int]
Rgba = tuple[float, float, float, float]  # 0 … 255, the last 0 … 1


def parse_colour(value: str) -> Colour | None:
    """(red, green, blue), 0 … 255, of "#fff", "rgb(255, 255, 255)", "hsl(0 0% 100%)" or a name; None for others."""
    found = rgba(value.strip().lower())
    return (round(found[0]), round(found[1]), round(found[2])) if found else None


def rgba(value: str) -> Rgba | None:
    """The colour `value`, in small letters, and how far it hides what is behind it; None of what is no colour."""
    value = _NAMED.get(value, value)
    if _DIGITS.fullmatch(value):
        digits = value.lstrip("#")
        digits = digits if len(digits) > 4 else "".join(digit * 2 for digit in digits)
        of_255 = bytes.fromhex(f"{digits}ff"[:8])
        return of_255[0], of_255[1], of_255[2], of_255[3] / 255
    if not (function := _FUNCTION.fullmatch(value)):
        return None
    parts = re.split(r"[\s,/]+", function[2].strip())
    if len(parts) not in (3, 4) or not all(_PART.fullmatch(part) for part in parts):
        return None
    numbers = [float(part.rstrip("%deg")) for part in parts]
    shares = [part.endswith("%") for part in parts]
    alpha = _within(numbers[3] / (100 if shares[3] else 1), 1.0) if len(parts) == 4 else 1.0
    if function[1] == "hsl":
        hue, saturation, light = numbers[0] % 360 / 360, _within(numbers[1] / 100, 1.0), _within(numbers[2] / 100, 1.0)
        red, green, blue = (255 * part for part in colorsys.hls_to_rgb(hue, light, saturation))
    else:
        red, green, blue = (_within(numbers[at] * (2.55 if shares[at] else 1), 255.0) for at in range(3))
    return red, green, blue, alpha


def over(colour: Rgba, below: Rgba | None) -> Rgba | None:
    """What is seen of `colour` in front of `below`; None is a colour that is not known."""
    alpha = colour[3]
    if alpha >= 1:
        return colour
    if alpha <= 0 or below is None:
        return below
    red, green, blue = (a * alpha + b * (1 - alpha) for a, b in zip(colour[:3], below[:3], strict=True))
    return red, green, blue, 1.0


def _within(number: float, most: float) -> float:
    return min(max(number, 0.0), most)
