"""Letters that look like Latin ones: owns which character can be read as which ASCII letter.

Unicode TR 39's confusables are trusted by themselves. `likenesses` has more and weaker ones (small capitals, ø and ł,
я for "r"), which honest words of other languages are written with: a caller must have another reason to read them as
Latin. Nothing here raises.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

_LATIN = re.compile(r"LATIN (?:SMALL LETTER|CAPITAL LETTER|LETTER SMALL CAPITAL) (?:DOTLESS )?([A-Z])(?: WITH .+)?")
_LATIN_BLOCKS = ((0x80, 0x2B0), (0x1D00, 0x1DC0), (0x2C60, 0x2C80), (0xA720, 0xA800), (0xAB30, 0xAB70))
# Letters that are read as these within a Latin word, although TR 39 does not list them.
_BY_SHAPE = dict(zip("вгдикмнптцшьэяғДИПЦШЭЯεηκτχωΛΣᏆ", "brankmhntuwberfANNUWERenktxwAEI", strict=True))
_ENCLOSED = re.compile(r"(?:PARENTHESIZED|NEGATIVE CIRCLED|NEGATIVE SQUARED) LATIN (?:SMALL|CAPITAL) LETTER ([A-Z])")
_REGIONAL = re.compile("REGIONAL INDICATOR SYMBOL LETTER ([A-Z])")


@cache
def confusables() -> dict[str, str]:
    """Character outside ASCII → the ASCII letter or digit it can be mistaken for, by TR 39."""
    from confusable_homoglyphs.confusables import confusables_data

    table = {}
    for character, others in confusables_data.items():
        targets = [o["c"] for o in others if len(o["c"]) == 1 and o["c"].isascii() and o["c"].isalnum()]
        if len(character) == 1 and not character.isascii() and targets:
            letters = [t for t in targets if t.isalpha()] or targets
            # The table has small l stand for every upright stroke, also for the capital I of other scripts.
            table[character] = "I" if letters[0] == "l" and character.isupper() else letters[0]
    return table


@cache
def likenesses() -> dict[int, str]:
    """For `str.translate`: confusables, and Latin letters with strokes or hooks, as small capitals, or by shape."""
    return str.maketrans(confusables()) | _named(_LATIN, _LATIN_BLOCKS) | str.maketrans(_BY_SHAPE)


@cache
def enclosed() -> dict[int, str]:
    """For `str.translate`: the letters in parentheses, or white in black circles or squares."""
    return _named(_ENCLOSED, ((0x249C, 0x24B6), (0x1F110, 0x1F18A)))


@cache
def regional_indicators() -> dict[int, str]:
    """For `str.translate`: the letters of which a pair is shown as a flag."""
    return _named(_REGIONAL, ((0x1F1E6, 0x1F200),))


def _named(pattern: re.Pattern[str], blocks: Iterable[tuple[int, int]]) -> dict[int, str]:
    """The characters of `blocks` whose Unicode name matches → the letter in it, small where the name says so."""
    table = {}
    for code in (code for start, end in blocks for code in range(start, end)):
        if found := pattern.fullmatch(unicodedata.name(chr(code), "")):
            table[code] = found[1].lower() if " SMALL " in found[0] else found[1]
    return table


def bare(text: str) -> str:
    """`text` with its Latin letters bare of accents and of all other combining marks; everything else as it is."""
    kept: list[str] = []
    on_latin = False
    for character in text:
        if not character.isascii():
            if on_latin and unicodedata.category(character) in ("Mn", "Me"):
                continue
            base = unicodedata.normalize("NFD", character)
            character = base[0] if len(base) > 1 and base[0].isascii() else character
        on_latin = character.isascii() and character.isalpha()
        kept.append(character)
    return "".join(kept)


def small_capitals(word: str) -> bool:
    """Whether every letter of `word` outside ASCII is a small capital: no language is written with these."""
    return all("SMALL CAPITAL" in unicodedata.name(c, "") for c in word if not c.isascii() and c.isalpha())
