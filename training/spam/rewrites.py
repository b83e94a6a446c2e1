"""What spammers do to words so that filters miss them: the adversarial rewrites that scorers are measured on."""

from __future__ import annotations

import html as escaping
import random
import re
from collections.abc import Callable, Sequence

# (body, subject, random numbers, honest bodies) → (body, subject, whether it is HTML)
Rewrite = Callable[[str, str, random.Random, Sequence[str]], tuple[str, str, bool]]
_WORD = re.compile(r"[A-Za-z]{4,}")
_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1"}
_ALIKE = {
    **{"a": "аɑα", "c": "сϲ", "e": "еҽ", "i": "іι", "o": "оοօ", "p": "рρ", "s": "ѕ", "x": "хⅹ", "y": "уү", "h": "һ"},
    **{"A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "M": "МΜ", "O": "ОΟ", "P": "РΡ", "T": "ТΤ"},
}


def _words(text: str, rng: random.Random, share: float, change: Callable[[str], str]) -> str:
    """`text` with a `share` of its words of four letters and more changed."""
    return _WORD.sub(lambda match: change(match[0]) if rng.random() < share else match[0], text)


def spacing(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """Two words in five with a space, a dot, a dash or a line between the letters."""

    def spread(word: str) -> str:
        return rng.choice((" ", ".", "-", "_")).join(word)

    return _words(body, rng, 0.4, spread), _words(subject, rng, 0.4, spread), False


def leetspeak(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """Three words in five with figures and signs for half of the letters that have one."""

    def respell(word: str) -> str:
        return "".join(rng.choice(_LEET[c.lower()]) if c.lower() in _LEET and rng.random() < 0.5 else c for c in word)

    return _words(body, rng, 0.6, respell), _words(subject, rng, 0.6, respell), False


def look_alikes(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """Four words in five with Cyrillic, Greek or Armenian letters for half of those that have a twin."""

    def disguise(word: str) -> str:
        return "".join(rng.choice(_ALIKE[c]) if c in _ALIKE and rng.random() < 0.5 else c for c in word)

    return _words(body, rng, 0.8, disguise), _words(subject, rng, 0.8, disguise), False


def _padding(body: str, rng: random.Random, ham: Sequence[str]) -> str:
    """As much honest text as `body` is long, and at least 300 characters."""
    wanted = max(300, len(body))
    padding = ""
    while len(padding) < wanted:
        padding += rng.choice(ham)[:wanted] + "\n"
    return padding[:wanted]


def good_words(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """As much honest text below the spam as the spam is long."""
    return f"{body}\n\n{_padding(body, rng, ham)}", subject, False


def good_words_above(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """The same above it, where a reader has to find the spam below."""
    return f"{_padding(body, rng, ham)}\n\n{body}", subject, False


def good_words_around(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """Half of it above the spam and half below."""
    padding = _padding(body, rng, ham)
    middle = len(padding) // 2
    return f"{padding[:middle]}\n\n{body}\n\n{padding[middle:]}", subject, False


def hiding(body: str, subject: str, rng: random.Random, ham: Sequence[str]) -> tuple[str, str, bool]:
    """HTML that breaks up words by comments, empty elements and unseen letters, and holds honest text unseen."""

    def split(word: str) -> str:
        place = rng.randint(1, len(word) - 1)
        unseen = "".join(rng.choices("abcdefghij", k=4))
        between = rng.choice(
            (
                "<!-- x -->",
                "<b></b>",
                f'<span style="display:none">{unseen}</span>',
                f'<font size="1" color="#ffffff">{unseen}</font>',
            )
        )
        return word[:place] + between + word[place:]

    shown = "<br>\n".join(_words(escaping.escape(line), rng, 0.5, split) for line in f"{subject}\n{body}".split("\n"))
    unseen = escaping.escape(rng.choice(ham)[:2000])
    return f'<html><body><div style="display:none">{unseen}</div><p>{shown}</p></body></html>', subject, True


REWRITES: dict[str, Rewrite] = {
    "spacing": spacing,
    "leetspeak": leetspeak,
    "look-alikes": look_alikes,
    "good words": good_words,
    "HTML hiding": hiding,
}
UNSEEN: dict[str, Rewrite] = {  # that are measured, too, and that no scorer has learned
    "good words above": good_words_above,
    "good words around": good_words_around,
}
