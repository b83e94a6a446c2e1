"""Occlusion: spans that cover the text, do not overlap, and point at what moves the scorer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.spam.occlusion import PASSAGES, occlude, passages


def pills(texts: Sequence[str]) -> np.ndarray:
    """Log-odds that grow by 3 with each "pills" and fall by 2 with each "lunch"."""
    return np.array([3.0 * text.count("pills") - 2.0 * text.count("lunch") for text in texts])


@given(st.text(max_size=2000), st.integers(1, 20))
@settings(max_examples=150, deadline=None)
def test_passages_cover_every_word_once(text: str, most: int) -> None:
    spans = passages(text, most)
    assert len(spans) <= most
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    starts, ends = [a for a, _ in spans], [b for _, b in spans]
    outside = "".join(text[a:b] for a, b in zip([0, *ends], [*starts, len(text)], strict=True))
    assert not outside.strip()


def test_passages_end_with_sentences_and_keep_tokens_whole() -> None:
    text = "Buy our cheap things today. See <url pills.example.com> for more of them. Or call us. " * 8
    spans = [text[a:b] for a, b in passages(text, 8)]
    assert sum(span.endswith(".") for span in spans) >= 6
    assert all(len(re.findall("<", span)) == len(re.findall(">", span)) for span in spans)


def test_the_weight_is_what_the_verdict_loses() -> None:
    text = " ".join(["word"] * 30 + ["pills"] + ["word"] * 30 + ["lunch"] + ["word"] * 30)
    found = occlude(text, pills)
    assert [round(e.weight, 2) for e in found] == [3.0, -2.0]
    assert "pills" in text[found[0].start : found[0].end]
    assert "lunch" in text[found[1].start : found[1].end]


def test_texts_of_nothing_and_of_one_word() -> None:
    assert occlude("", pills) == ()
    assert occlude("  \n", pills) == ()
    assert [(e.start, e.end, e.weight) for e in occlude("pills", pills)] == [(0, 5, 3.0)]
    assert len(occlude("pills " * 500, pills)) <= PASSAGES
