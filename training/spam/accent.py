"""Taking away what gives a corpus away: case, spacing, headers, quoting, length, Enron's tokenised spelling.

Pure functions of a text and a seed, for making training data. What a real mail goes through in use is
`engine/email_text`; nothing here runs there.
"""

from __future__ import annotations

import random
import re

_URL = re.compile(r"\b(?:https?|ftp) : / / ?(?:[\w~%+=&?-]+(?: ?[./:?=&%_~-] ?(?=[\w/~?%]))?){1,40}/?", re.IGNORECASE)
_WWW = re.compile(r"\bwww(?: \. [\w-]+){2,5}(?: / [\w.~%-]+)*", re.IGNORECASE)
_ADDRESS = re.compile(r"\b[\w-]+(?: [._] [\w-]+)* @ [\w-]+(?: \. [\w-]+)+")
_SPACES = re.compile(r" ")


def is_tokenised(text: str) -> bool:
    """Whether punctuation stands alone, as tokenisers leave it ("hello , world .")."""
    alone, all_of_it = len(re.findall(r" [.,!?:;/](?=\s|$)", text)), len(re.findall(r"[.,!?:;/]", text))
    return alone >= 2 and alone > 0.6 * all_of_it


def undo_tokenised(text: str) -> str:
    """`text` with its addresses, numbers and punctuation closed up again; one that was not tokenised stays."""
    if not is_tokenised(text):
        return text
    for pattern in (_URL, _WWW, _ADDRESS):
        text = pattern.sub(lambda match: _SPACES.sub("", match[0]), text)
    text = re.sub(r"(?<=\d) ([.,:]) (?=\d)", r"\1", text)  # 6 , 500 and 10 : 30
    text = re.sub(r"(?<=[$£€#]) (?=\d)|(?<=\d) (?=%)", "", text)
    text = re.sub(r" ([.,!?;:)\]}])(?= |$)", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"([(\[{]) ", r"\1", text)
    text = re.sub(r"(?<=\w) ' (?=(?:s|t|m|d|re|ve|ll)\b)", "'", text, flags=re.IGNORECASE)
    text = re.sub(r"(?:(?<=[-_=*]) (?=[-_=*]))", "", text)
    return re.sub(r"(?<=\w) ([/-]) (?=\w)", r"\1", text)


def redo_tokenised(text: str) -> str:
    """`text` as Enron's corpus has it: lower case, a space on both sides of every sign."""
    return re.sub(r"[ \t]+", " ", re.sub(r"([^\w\s])", r" \1 ", text.lower())).strip()


def quoted(text: str) -> str:
    """`text` as somebody's reply quotes it."""
    return "\n".join(f"> {line}" for line in text.split("\n"))


def cut(text: str, rng: random.Random) -> str:
    """The beginning, the end or the middle of `text`: at least 200 characters, whole words."""
    if len(text) < 400:
        return text
    length = rng.randint(200, len(text) - 1)
    start = rng.choice((0, len(text) - length, rng.randint(0, len(text) - length)))
    piece = text[start : start + length]
    words = piece.split(" ")
    return " ".join(words[1 if start else 0 : -1 if start + length < len(text) else None]) or piece


def vary(text: str, subject: str, seed: int) -> tuple[str, str]:
    """(text, subject) of the same mail with another accent; which one is a pure function of `seed`.

    Each change is drawn by itself: small case 20 %, upper case 3 %, tokenised spelling 12 %, no subject 25 %, the
    subject as the first line 10 %, quoting 8 %, cutting 20 %, lost line ends 15 %, another line width 15 %.
    """
    rng = random.Random(seed)
    case, shape = rng.random(), rng.random()
    if rng.random() < 0.20:
        text = cut(text, rng)
    if shape < 0.15:
        text = " ".join(text.split())
    elif shape < 0.30:
        text = wrap(text, rng.randint(50, 100))
    if case < 0.20:
        text, subject = text.lower(), subject.lower()
    elif case < 0.23:
        text, subject = text.upper(), subject.upper()
    if rng.random() < 0.12:
        text, subject = redo_tokenised(text), redo_tokenised(subject)
    if rng.random() < 0.08:
        text = quoted(text)
    head = rng.random()
    if head < 0.25:
        subject = ""
    elif head < 0.35 and subject:
        text, subject = f"{subject}\n\n{text}", ""
    return text, subject


def wrap(text: str, width: int) -> str:
    """`text` with its paragraphs broken anew at `width` characters."""
    import textwrap

    paragraphs = text.split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(p.split()), width, break_long_words=False) for p in paragraphs)
