"""Letters that are not what they look like: zero-width characters, look-alikes, leetspeak, s p a c e d words.

Owns folding them for the model and reporting where they were. It touches a word only when the outcome is safe: a
look-alike must stand among Latin letters, and a respelling must give a word of `words.txt` (the commonest words of the
training corpora, made by `training/spam/words.py`). Look-alikes follow Unicode TR 39's confusables table.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from functools import cache
from importlib import resources

from engine.email_text.edits import Edits, lead_back, substitute

Spot = tuple[str, int, int]  # kind, start, end in the text that was given

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\U000e0000-\U000e0fff"
)
UNSEEN = re.compile(f"[{_UNSEEN}]+")
_STRANGE = re.compile(r"[\x21-\x7e]*[^\x00-\x7f\s][^\s]*")
_LEET = re.compile(r"(?<![\w@$./<&-])(?=[^\s]*[A-Za-z])(?=[^\s]*[0-9@$!|+])[A-Za-z0-9@$!|+]{3,24}(?![\w@$/>])")
_SPACED = re.compile(r"(?<![\w<])[A-Za-z0-9@$!](?:[ .\-_*~|/]{1,3}[A-Za-z0-9@$!]){3,200}(?![\w>])")
_BROKEN = re.compile(r"(?<![\w<./-])[A-Za-z]{1,12}(?:[.\-_*~^][A-Za-z]{1,12}){1,12}(?![\w>/-])")
_LEET_LETTERS = {
    **{"0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"},
    **{"@": "a", "$": "s", "!": "il", "|": "li", "+": "t"},
}
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "•": "*", "·": "*"})


@cache
def words() -> frozenset[str]:
    """Common lower-case words, letters only."""
    return frozenset(resources.files("engine.email_text").joinpath("words.txt").read_text("ascii").split())


@cache
def lookalikes() -> dict[str, str]:
    """Character outside ASCII → the ASCII letter or digit it can be mistaken for."""
    from confusable_homoglyphs.confusables import confusables_data

    table = {}
    for character, others in confusables_data.items():
        targets = [o["c"] for o in others if len(o["c"]) == 1 and o["c"].isascii() and o["c"].isalnum()]
        if len(character) == 1 and not character.isascii() and targets:
            letters = [t for t in targets if t.isalpha()] or targets
            # The table has small l stand for every upright stroke, also for the capital I of other scripts.
            table[character] = "I" if letters[0] == "l" and character.isupper() else letters[0]
    return table


def fold(text: str) -> tuple[str, list[Edits], list[Spot]]:
    """`text` without invisible characters and look-alikes; the edits; what was found where.

    Accents are dropped too: they serve as a disguise ("vïágrà"), and a classifier of English loses nothing.
    """
    if text.isascii():
        return text, [], []
    spots: list[Spot] = []
    for match in UNSEEN.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before.isascii() and after.isascii() and before.isalpha() and after.isalpha():
            spots.append(("zero-width", match.start() - 1, match.end() + 1))
    text, unseen = substitute(UNSEEN, lambda match: "", text)
    latin, letters = sum(map(str.isalpha, filter(str.isascii, text))), sum(map(str.isalpha, text))
    mostly_latin = latin >= 0.7 * letters

    def replace(match: re.Match[str]) -> str | None:
        new, disguised = _fold_word(match[0], mostly_latin)
        if disguised:
            spots.append(("look-alike", *lead_back([unseen], *match.span())))
        return new if new != match[0] else None

    text, folded = substitute(_STRANGE, replace, text)
    return text, [unseen, folded], spots


def _fold_word(word: str, mostly_latin: bool) -> tuple[str, bool]:
    """`word` folded, and whether a look-alike was in it."""
    plain = word.translate(_PLAIN)
    if plain.isascii():
        return plain, False
    compatible = unicodedata.normalize("NFKC", plain)
    if len(compatible) > 2 * len(plain) + 4:  # one sign can stand for a whole sentence
        compatible = plain
    # Mathematical, circled and full-width letters are typography in a text that is not Latin, and a disguise in one.
    styled = any(c.isascii() and c.isalnum() for c in compatible) and any(
        ord(c) > 0x2000 and unicodedata.normalize("NFKC", c).isascii() and unicodedata.normalize("NFKC", c).isalpha()
        for c in plain
        if c not in "™ℹℓ№℠"
    )
    stripped = "".join(_bare(c) for c in compatible)
    if stripped.isascii():
        return stripped, styled and mostly_latin
    table = lookalikes()
    foreign = [c for c in stripped if not c.isascii() and c.isalnum()]
    ascii_letters = sum(c.isascii() and c.isalpha() for c in stripped)
    known = sum(c in table for c in foreign)
    if not foreign or not known or not (ascii_letters or (mostly_latin and known == len(foreign) > 2)):
        return stripped, styled and mostly_latin
    if ascii_letters < known and not mostly_latin:
        return stripped, False
    return "".join(table.get(c, c) for c in stripped), True


def _bare(character: str) -> str:
    """A Latin letter without its accents; everything else as it is."""
    if character.isascii():
        return character
    base = unicodedata.normalize("NFD", character)
    return base[0] if len(base) > 1 and base[0].isascii() else character


def respell(text: str) -> tuple[str, list[Edits], list[Spot]]:
    """`text` with leetspeak, spaced-out and broken-up words written as words; the edits; what was found where."""
    spots: list[Spot] = []
    passes: list[Edits] = []
    for kind, pattern, rule in (
        ("leetspeak", _LEET, _unleet),
        ("spaced-out", _SPACED, _close_up),
        ("broken-up", _BROKEN, _mend),
    ):
        before = list(passes)

        def replace(match: re.Match[str], kind: str = kind, rule=rule, before: list[Edits] = before) -> str | None:
            new = rule(match[0])
            if new is not None:
                spots.append((kind, *lead_back(before, *match.span())))
            return new

        text, edits = substitute(pattern, replace, text)
        passes.append(edits)
    return text, passes, spots


def _unleet(word: str) -> str | None:
    core = word.rstrip("!|+$")
    tail = word[len(core) :]
    if not core or core.isalpha() or core.isdigit() or sum(c.isalpha() for c in core) * 3 < len(core):
        return None
    options = [_LEET_LETTERS.get(c, c) for c in core.lower()]
    # "win2" and "3com" are names; two signs, or one inside the word, are a disguise.
    outside = not (core[0].isalpha() and core[-1].isalpha()) and sum(not c.isalpha() for c in core) < 2
    for letters in itertools.islice(itertools.product(*options), 16):
        candidate = "".join(letters)
        if len(candidate) >= (5 if outside else 4) and candidate in words():
            return _cased(candidate, core) + tail
    return None


def _close_up(run: str) -> str | None:
    """The words that letters with gaps between them spell; None when they spell none ("a. b. c. d.")."""
    letters = "".join(c for c in run if c.isalnum() or c in "@$!")
    if sum(c.isalpha() for c in letters) * 2 < len(letters):
        return None
    found = _segment("".join(_LEET_LETTERS.get(c, c)[0] for c in letters.lower()))
    if found is None or len(letters) < 3.5 * len(found):
        return None
    return _cased(" ".join(found), letters)


def _segment(letters: str) -> list[str] | None:
    """`letters` as the fewest common words; None when they cannot be cut into such."""
    best: list[list[str] | None] = [[]] + [None] * len(letters)
    for end in range(1, len(letters) + 1):
        for start in range(max(0, end - 16), end):
            head, word = best[start], letters[start:end]
            if head is None or (word not in words() and word not in ("a", "i")):
                continue
            so_far = best[end]
            if so_far is None or len(head) + 1 < len(so_far):
                best[end] = [*head, word]
    return best[-1]


def _mend(run: str) -> str | None:
    parts = re.split(r"[.\-_*~^]", run)
    joined = "".join(parts).lower()
    if len(joined) < 5 or joined not in words() or all(len(p) > 2 and p.lower() in words() for p in parts):
        return None
    return _cased(joined, run)


def _cased(word: str, like: str) -> str:
    if like.isupper():
        return word.upper()
    return word.capitalize() if like[:1].isupper() else word
