"""Other ways to ask the same question, by rule: a small model that has seen one wording only knows that wording.

Owns the rules, nothing else. They are English; a question that none fits is asked with openings and in lower case only.
What comes out is shown in the preview, and may be switched off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

OPENINGS = (
    "Tell me: {}",
    "Please tell me, {}",
    "Hello! {}",
    "I forgot. {}",
    "Do you know? {}",
    "Quick question: {}",
    "Can you help me? {}",
    "One more thing: {}",
)
FRAMES = (
    "{}?",
    "What about {}?",
    "Tell me about {}.",
    "I would like to know {}.",
    "{}, please",
    "And {}?",
    "How is it with {}?",
)
# (what the question looks like, how else it is asked)
FORMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), ways)
    for pattern, ways in (
        (
            r"what is the (name|colour|color|number|age|height|meaning|price|date|capital|motto|title) of (.+)",
            (
                "Tell me the {0} of {1}.", "What {0} has {1}?", "Which {0} does {1} have?", "{1}: what {0}?",
                "Do you know the {0} of {1}?", "What's the {0} of {1}?",
            ),
        ),
        (
            r"what (?:is|are) (.+?) called",
            (
                "What is the name of {0}?", "How is {0} called?", "Tell me the name of {0}.", "The name of {0}?",
                "Which name has {0}?",
            ),
        ),
        (r"what (is|are) (.+)", ("Tell me {1}.", "{1}?", "Do you know what {1} {0}?", "Which {0} {1}?", "What's {1}?")),
        (r"who (is|was|are|were) (.+)", ("Tell me who {1} {0}.", "What is the name of {1}?", "{1}: who {0} that?")),
        (r"who (\w+) (.+)", ("Tell me who {0} {1}.", "By whom is {1}?", "What is the name of who {0} {1}?")),
        (r"where (is|are|was|were) (.+)", ("Where can I find {1}?", "Tell me where {1} {0}.", "{1}: where {0} that?")),
        (r"where do (\w+) (.+)", ("Tell me where {0} {1}.", "In which place do {0} {1}?")),
        (r"(?:when|on which day|at what time) (\w+) (.+)", (
            "When {0} {1}?", "At what time {0} {1}?", "On which day {0} {1}?", "Tell me when {0} {1}.",
        )),
        (r"(?:which|what) (\w+) (.+)", ("What {0} {1}?", "Which {0} {1}?", "Tell me which {0} {1}.")),
        (r"how (many|much|high|old|long|far|big|deep|tall|fast) (.+)", ("Tell me how {0} {1}.", "{1}: how {0}?")),
    )
)  # fmt: skip
SMALL = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was were be of in on at to for from by with do does did what who where when which how why "
        "that it its and or me my your our i you we tell this please called there",
    )
)


def rephrased(question: str, count: int) -> list[str]:
    """Up to `count` other wordings of `question`, all different from it and from each other; [] where it is none.

    A text of several lines or of more than 30 words is a task, not a question, and stays as it is.
    """
    plain = question.strip()
    if count <= 0 or "\n" in plain or not 2 <= len(plain.split()) <= 30:
        return []
    found = dict.fromkeys(_interleaved(list(_formed(plain)), list(_dressed(plain))))
    return [other for other in found if other and other != plain][:count]


def _interleaved(one: list[str], other: list[str]) -> Iterator[str]:
    for index in range(max(len(one), len(other))):
        yield from one[index : index + 1]
        yield from other[index : index + 1]


def _formed(question: str) -> Iterator[str]:
    """Other sentences with the same content."""
    bare = question.rstrip("?!. ")
    for pattern, ways in FORMS:
        if match := pattern.fullmatch(bare):
            for way in ways:
                yield _sentence(way.format(*match.groups()))
            return


def _dressed(question: str) -> Iterator[str]:
    """The words that carry it, in several orders and frames, one left out at a time; then openings before the whole."""
    bare = question.rstrip("?!. ")
    words = [word for word in re.findall(r"[^\s,;:?!]+", bare) if word.casefold() not in SMALL]
    lower = question[:1].lower() + question[1:] if not question[:2].isupper() else question
    openings = (opening.format(lower if opening.endswith(", {}") else question) for opening in OPENINGS)
    yield bare.lower()
    if len(words) < 2:
        yield from openings
        return
    frames = iter(FRAMES)
    yield next(frames).format(" ".join(words))
    yield next(openings)
    yield next(frames).format(" ".join(reversed(words)))
    for index in range(len(words) if len(words) > 2 else 0):
        yield next(frames, "{}?").format(" ".join(words[:index] + words[index + 1 :]))
        yield next(openings, "")
    yield from openings


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
