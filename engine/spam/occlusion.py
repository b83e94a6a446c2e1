"""Occlusion: which passages of a text move a scorer, found by leaving each out (Zeiler and Fergus 2014).

Works for any scorer: it asks nothing but log-odds. Numpy only. Owns how a text is cut into passages; what the weights
are shown as is the app's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from engine.spam.judge import Evidence

PASSAGES = 12  # at most in a text: each costs one more reading of it
LONGEST = 160  # characters of a passage that is shown; a longer one keeps its beginning
_WORD = re.compile(r"<[^>\n]{1,80}>|\S+")
_END = re.compile(r"[.!?;:…][\"')\]]*$")


def passages(text: str, most: int = PASSAGES) -> list[tuple[int, int]]:
    """`text` in at most `most` spans of whole words and of like length, which end where a sentence or line does if one
    ends nearby. They do not overlap; what lies between them is white space."""
    words = [match.span() for match in _WORD.finditer(text)]
    if not words:
        return []
    size = max(1.0, len(words) / most)
    spans: list[tuple[int, int]] = []
    first = 0
    while first < len(words):
        left = most - len(spans)
        size = max(1.0, (len(words) - first) / left)
        last = min(first + round(size), len(words)) - 1
        last = _near_an_end(text, words, first, last, max(1, int(size / 3))) if left > 1 else len(words) - 1
        spans.append((words[first][0], words[last][1]))
        first = last + 1
    return spans


def _near_an_end(text: str, words: list[tuple[int, int]], first: int, last: int, reach: int) -> int:
    """The word at most `reach` from `last` that ends a sentence or a line, the nearest; `last` when there is none."""
    for step in range(reach + 1):
        for index in (last + step, last - step):
            if first <= index < len(words) - 1:
                start, end = words[index]
                if _END.search(text[start:end]) or "\n" in text[end : words[index + 1][0]]:
                    return index
    return last


def occlude(text: str, margins: Callable[[Sequence[str]], np.ndarray], most: int = PASSAGES) -> tuple[Evidence, ...]:
    """The passages of `text` by how far log-odds fall when each is left out, the weightiest first.

    Args:
        margins: texts → log-odds that each is spam [texts].
    """
    spans = passages(text, most)
    if len(spans) < 2:
        return tuple(Evidence(a, b, round(float(margins([text])[0]), 4)) for a, b in spans)
    without = [text[:start] + text[end:] for start, end in spans]
    found = margins([text, *without])
    weights = found[0] - found[1:]
    kept = [Evidence(a, min(b, a + LONGEST), round(float(w), 4)) for (a, b), w in zip(spans, weights, strict=True)]
    return tuple(sorted((e for e in kept if abs(e.weight) > 0.01), key=lambda e: -abs(e.weight)))
