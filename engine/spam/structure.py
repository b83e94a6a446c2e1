"""What can be said of a text without reading its words: length, capitals, links, money, quoted lines, signs.

Each observation is a short name such as "capitals:3", a number in steps: a linear scorer gives every step a weight of
its own, so that neither "more" nor "less" of something must mean spam. Works on the normaliser's text.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_SIGNS = re.compile(
    r"(?P<link><url)|(?P<address><email)|(?P<money><money)|(?P<phone><phone)|(?P<number><number)|(?P<code><code)"
    r"|(?P<shout>!{2,})|(?P<call>!)|(?P<dollar>\$)|(?P<question>\?)|(?P<percent>%)|(?P<wrote>wrote:)|(?P<image>\[image)"
    r"|(?P<stars>\*{2,})|(?P<dashes>-{3,})|(?P<rule>_{3,}|={3,})|(?P<dots>\.{3})|(?P<bracket>\()|(?P<colon>:)|(?P<quote>\")"
    r"|(?P<leave>(?i:unsubscribe|remove))"
)
_NAMES = tuple(_SIGNS.groupindex)
_LINK = re.compile(r"<url ([^>]*)>")
_ODD = frozenset(("figures", "short", "port", "at", "punycode", "program"))
_WORD = re.compile(r"[A-Za-z]+")
_QUOTED = (">", "|", ": ")


def steps(number: float) -> int:
    """`number` in steps of a factor of about 1.4: 0, 1, 2 → 0, 2, 3."""
    return int(2 * math.log2(1 + number))


def structure(text: str) -> list[str]:
    """Every observation of `text`, an equal number for every text."""
    size = len(text) or 1
    words = _WORD.findall(text)
    lines = [line for line in text.split("\n") if line.strip()]
    signs = Counter(match.lastgroup for match in _SIGNS.finditer(text))
    links = _LINK.findall(text)
    capitals = sum(word.isupper() and len(word) > 2 for word in words)
    found = {
        "length": steps(size / 20),
        "words": steps(len(words) / 4),
        "word length": int(3 * sum(map(len, words)) / (len(words) or 1)),
        "different": int(20 * len({word.lower() for word in words}) / (len(words) or 1)),
        "capitals": int(20 * _share(text)),
        "capital words": steps(capitals),
        "capital words in 100": steps(100 * capitals / (len(words) or 1)),
        "lines": steps(len(lines)),
        "line length": steps(sum(map(len, lines)) / 4 / (len(lines) or 1)),
        "longest line": steps(max(map(len, lines), default=0) / 8),
        "quoted": int(8 * sum(line.startswith(_QUOTED) for line in lines) / (len(lines) or 1)),
        "hosts": steps(len(set(links))),
        "odd links": min(sum(not _ODD.isdisjoint(link.split()) for link in links), 3),
        "digits": steps(200 * sum(map(str.isdigit, text)) / size),
        "beyond ASCII": steps(100 * sum(not c.isascii() for c in text) / size),
        **_first_line(lines[0] if lines else ""),
    }
    for name in _NAMES:
        found[name] = steps(signs[name])
        found[f"{name} in 1000"] = steps(1000 * signs[name] / size)
    return [f"{name}:{number}" for name, number in found.items()]


def _first_line(line: str) -> dict[str, int]:
    """The subject's, where there is one."""
    return {
        "first reply": int(line[:3].lower() in ("re:", "fw:", "fwd")),
        "first capitals": int(8 * _share(line)),
        "first call": int("!" in line),
        "first question": int("?" in line),
        "first length": steps(len(line) / 4),
    }


def _share(text: str) -> float:
    """Of capitals among the letters."""
    return sum(map(str.isupper, text)) / (sum(map(str.isalpha, text)) or 1)
