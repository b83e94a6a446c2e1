"""What the index knows of a text and how it is asked: words between spaces, and each character of Chinese or Japanese.

The index itself (FTS5, English word stems, BM25) is in `storage/steps.py` and `storage/libraries.py`.
"""

from __future__ import annotations

import itertools
import re

# Scripts that are written without spaces: Thai, Lao, Myanmar, Khmer, kana, Han. Not compiled until it is used.
_UNSPACED = "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
_WORD = r"\w+"
MOST = 64  # words of a question; of a pasted page the first ones


def index_words(text: str) -> str:
    """`text` with spaces around every character of a script that has none, so that each is a word."""
    return re.sub(_UNSPACED, r" \1 ", text)


def query(question: str) -> str:
    """An FTS5 expression for passages with any of the question's words; BM25 makes the common ones weigh nothing.

    Neighbours in a script without spaces are asked for together: 東京 is 東 followed by 京.
    """
    parts: list[str] = []
    for word in re.findall(_WORD, question):
        run = [piece for piece in index_words(word).split(" ") if piece]
        pairs = [f'"{a} {b}"' for a, b in itertools.pairwise(run)] or [f'"{word}"']
        parts += [pair for pair in pairs if pair not in parts]
    return " OR ".join(parts[:MOST])
