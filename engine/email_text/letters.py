"""Letters that are not what they look like: zero-width characters, look-alikes, leetspeak, s p a c e d words.

Owns folding them for the model and reporting where they were. It touches a word only when the outcome is safe: a
look-alike must stand among Latin letters or in English text, and a respelling must give a word of `words.txt` (the
commonest words of the training corpora, made by `training/spam/words.py`). Which letter looks like which is in
`lookalikes.py`. Nothing here raises.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_left
from functools import cache, cached_property
from importlib import resources

from engine.email_text.edits import Edits, lead_back, substitute
from engine.email_text.lookalikes import bare, confusables, enclosed, likenesses, regional_indicators, small_capitals

Spot = tuple[str, int, int]  # kind, start, end in the text that was given

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
UNSEEN = re.compile(f"[{_UNSEEN}]+")
_BLANK = re.compile("[\u1680\u202f\u205f\u2800\u3164\uffa0]+")  # shown as a gap, whatever their category
_STRANGE = re.compile(r"[\x21-\x7e]*[^\x00-\x7f\s][^\s]*")
_LEET = re.compile(r"(?<![\w@$./<&-])(?=[^\s]*[A-Za-z])(?=[^\s]*[0-9@$!|+])[A-Za-z0-9@$!|+]{3,24}(?![\w@$/>])")
_SPACED = re.compile(r"(?<![\w<])[A-Za-z0-9@$!](?:[ .\-_*~|/]{1,3}[A-Za-z0-9@$!]){3,200}(?![\w>])")
# Any signs between single letters: first within one word, else with gaps between words. No sign is a letter here, so
# there is one way to match and no time is lost. The look ahead is for speed: most letters have letters beside them.
_SCATTERED = re.compile(
    r"[A-Za-z0-9](?=[^A-Za-z0-9\n<>]{1,3}[A-Za-z0-9][^A-Za-z0-9\n<>]{1,3}[A-Za-z0-9][^A-Za-z0-9\n<>])(?<![\w<].)"
    r"(?:(?:(?:_|[^\w\s<>]){1,3}[A-Za-z0-9]){3,200}|(?:(?:_|[^\w\n<>]){1,3}[A-Za-z0-9]){3,200})(?<!\.'s)(?![\w>])"
)
_BROKEN = re.compile(r"(?<![\w<./-])[A-Za-z]{1,12}(?:[.\-_*~^][A-Za-z]{1,12}){1,12}(?![\w>/-])")
_LEET_LETTERS = {
    **{"0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"},
    **{"@": "a", "$": "s", "!": "il", "|": "li", "+": "t"},
}
_ENCLOSED = re.compile("[\u249c-\u24b5\U0001f110-\U0001f129\U0001f150-\U0001f169\U0001f170-\U0001f189]{2,}")
_REGIONALS = re.compile("[\U0001f1e6-\U0001f1ff]+")
_WORD = re.compile(r"\S+")
_AROUND_WORDS = "!?.,;:()[]{}\"'*-_"
_NEAR = 8  # words on each side that tell what language a word stands in
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "•": "*", "·": "*"})


@cache
def words() -> frozenset[str]:
    """Common lower-case words, letters only."""
    return frozenset(resources.files("engine.email_text").joinpath("words.txt").read_text("ascii").split())


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
    text, blanks = substitute(_BLANK, lambda match: " ", text)
    latin, letters = sum(map(str.isalpha, filter(str.isascii, text))), sum(map(str.isalpha, text))
    mostly_latin = latin >= 0.7 * letters
    surroundings = _Surroundings(text)

    def replace(match: re.Match[str]) -> str | None:
        new, disguised = _fold_word(match[0], mostly_latin)
        if not new.isascii() and (english := _as_english(new)) and surroundings.english(match.start()):
            new, disguised = english, True
        if disguised:
            spots.append(("look-alike", *lead_back([unseen, blanks], *match.span())))
        return new if new != match[0] else None

    text, folded = substitute(_STRANGE, replace, text)
    return text, [unseen, blanks, folded], spots


class _Surroundings:
    """Which words of a text are English; worked out once, and only for a text where that is asked."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _words(self) -> tuple[list[int], list[bool]]:
        """Where words start, and which of them are English, if in disguise."""
        starts, english = [], []
        for match in _WORD.finditer(self._text):
            word = match[0] if match[0].isascii() else _fold_word(match[0], False)[0]
            word = word.strip(_AROUND_WORDS)
            if len(word) < 2 or not word.isalpha():
                continue
            known = word.lower() in words() if word.isascii() else _as_english(word) is not None
            if known or word.isascii() or len(word) > 3:  # of short words in disguise nobody can tell
                starts.append(match.start())
                english.append(known)
        return starts, english

    def english(self, start: int) -> bool:
        """Whether two in three of the words around the one at `start` are English."""
        starts, english = self._words
        at = bisect_left(starts, start)
        after = at + (at < len(starts) and starts[at] == start)
        near = english[max(0, at - _NEAR) : at] + english[after : after + _NEAR]
        return 3 * sum(near) >= 2 * len(near) > 0


def _fold_word(word: str, mostly_latin: bool) -> tuple[str, bool]:
    """`word` folded as far as its own letters allow, and whether a look-alike was in it."""
    plain = word.translate(_PLAIN)
    if plain.isascii():
        return plain, False
    opened = _REGIONALS.sub(_read_regional, _ENCLOSED.sub(lambda match: match[0].translate(enclosed()), plain))
    compatible = unicodedata.normalize("NFKC", opened)
    if len(compatible) > 2 * len(opened) + 4:  # one sign can stand for a whole sentence
        compatible = opened
    # Mathematical, circled and full-width letters are typography in a text that is not Latin, and a disguise in one.
    styled = opened != plain or (
        any(c.isascii() and c.isalnum() for c in compatible)
        and any(
            ord(c) > 0x2000
            and unicodedata.normalize("NFKC", c).isascii()
            and unicodedata.normalize("NFKC", c).isalpha()
            for c in plain
            if c not in "™ℹℓ№℠"
        )
    )
    stripped = bare(compatible)
    if stripped.isascii():
        return stripped, styled and mostly_latin
    table = confusables()
    foreign = [c for c in stripped if not c.isascii() and c.isalnum()]
    ascii_letters = sum(c.isascii() and c.isalpha() for c in stripped)
    known = sum(c in table for c in foreign)
    if not known or not ascii_letters:
        return stripped, styled and mostly_latin
    if ascii_letters < known and not mostly_latin:
        return stripped, False
    return "".join(table.get(c, c) for c in stripped), True


def _read_regional(match: re.Match[str]) -> str:
    """The word that regional indicators spell. A single one is no flag; short words can be flags ("chat")."""
    word = match[0].translate(regional_indicators())
    return word if len(word) == 1 or (len(word) > 4 and word.lower() in words()) else match[0]


def _as_english(word: str) -> str | None:
    """`word` by the letters that its own resemble, when that gives common English words; else None."""
    read = word.translate(likenesses())
    if not read.isascii():
        return None
    least = 2 if small_capitals(word) else 4  # some short word of another alphabet looks like each English one
    capital = read.replace("l", "I")  # most scripts have one upright stroke
    for spelling in (capital, read) if capital.isupper() else (read, capital, read.replace("I", "l")):
        parts = re.findall("[a-z]+", spelling.lower())
        if any(len(part) >= least for part in parts) and all(len(p) >= min(least, 3) and p in words() for p in parts):
            return spelling
    return None


def respell(text: str) -> tuple[str, list[Edits], list[Spot]]:
    """`text` with leetspeak, spaced-out and broken-up words written as words; the edits; what was found where."""
    spots: list[Spot] = []
    passes: list[Edits] = []
    for kind, pattern, rule in (
        ("leetspeak", _LEET, _unleet),
        ("spaced-out", _SPACED, _close_up),
        ("spaced-out", _SCATTERED, _gather),
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


def _gather(run: str) -> str | None:
    """What `_close_up` gives for letters with any signs between them."""
    return _close_up("".join(c for c in run if c.isascii() and c.isalnum()))


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
