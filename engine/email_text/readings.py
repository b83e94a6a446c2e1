"""What a mail says besides the text that is read of it: hidden words, other versions, attached texts, its middle.

Owns which of that is worth a look of its own, so that nobody escapes by writing where the classifier does not look and
a person, or another mail program, may. An ordinary mail has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.email_text.body import Body, read
from engine.email_text.parts import Aside
from engine.email_text.plain import squeeze

MOST = 8  # readings of one mail
MOST_VERSIONS = 2
MOST_WINDOWS = 4  # of the middle
LEAST_HIDDEN = 25  # words; newsletters hide a line as a preview
LEAST = 8  # words of anything else
_ADDRESS = re.compile(r"https?://\S*")
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Reading:
    """A text in a mail that `EmailText.text` leaves out."""

    what: str  # for people, such as "an attached web page"
    text: str  # for the classifier: the subject and that text


def beyond(body: Body, asides: list[Aside], middle: str, window: int) -> list[tuple[str, str]]:
    """What it is and what it says, of each: at most MOST.

    Args:
        body: what is read of the mail.
        middle: what was cut out of that because it is long.
        window: characters of `middle` that are one reading.
    """
    found: list[tuple[str, str]] = []
    if candidates := list(_beside(body, asides)):
        known = _words(body.text)
        for what, text, share in candidates:
            words = _words(text)
            if len(text.split()) >= LEAST and len(words - known) > share * len(words):
                found.append((what, text))
    windows = _windows(middle, window, min(MOST_WINDOWS, MOST - len(found)))
    return found + [("the middle of it", text) for text in windows if len(text.split()) >= LEAST]


def _beside(body: Body, asides: list[Aside]) -> Iterator[tuple[str, str, float]]:
    """What, its text, and the share of its words that must be new for it to count."""
    hidden = squeeze(" ".join(piece.text for rendered in body.renders for piece in rendered.hidden))
    if len(hidden.split()) >= LEAST_HIDDEN:
        yield "its hidden text", hidden, 0.25
    for other in islice(body.unread, MOST_VERSIONS):
        version = "its plain text" if body.html and not other.html else "another version of it"
        yield f"{version}, which mail programs do not show", other.text, 0.5
    for aside in asides:
        yield aside.what, read(aside.parts).text, 0.25


def _words(text: str) -> set[str]:
    return set(_WORD.findall(_ADDRESS.sub(" ", text.lower())))


def _windows(text: str, size: int, most: int) -> list[str]:
    """`text` in at most `most` pieces of at most `size` characters, which are spread where they cannot cover it."""
    count = min(-(-len(text) // size), most)
    size = min(size, -(-len(text) // max(count, 1)))
    last = len(text) - size
    return [text[start : start + size] for start in (last * i // max(count - 1, 1) for i in range(count))]
