"""Duplicates: estimates against the exact similarity, and groups of planted near-copies."""

from __future__ import annotations

import random
import re
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.duplicates import (
    PERMUTATIONS,
    band_rows,
    fingerprint,
    first_alike,
    first_equal,
    letters_of,
    signatures,
)

NUMBERS = random.Random(7)
VOCABULARY = ["".join(NUMBERS.choices(string.ascii_lowercase, k=6)) for _ in range(3000)]


def text(words: int) -> str:
    return " ".join(NUMBERS.choices(VOCABULARY, k=words))


def changed(original: str, share: float) -> str:
    """`original` with so large a share of its words replaced."""
    words = original.split()
    for index in NUMBERS.sample(range(len(words)), round(share * len(words))):
        words[index] = NUMBERS.choice(VOCABULARY)
    return " ".join(words)


def grams(words: str) -> set[tuple[str, ...]]:
    found = re.findall(r"\w+", words.lower())
    return {tuple(found[i : i + 5]) for i in range(len(found) - 4)}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.03, 0.1, 0.5])
def test_signatures_agree_as_often_as_the_sets_are_alike(share: float) -> None:
    first = text(800)
    second = changed(first, share)
    exact = len(grams(first) & grams(second)) / len(grams(first) | grams(second))
    a, b = signatures([first, second])
    assert abs((a == b).mean() - exact) < 0.13, "three standard errors of 128 values"


def test_a_signature_is_of_the_words_alone_and_of_its_own_document_alone() -> None:
    first, second, long = text(60), text(40), text(300_000)
    dressed = first.upper().replace(" ", ",\n  ", 5) + "!"
    rows = signatures([first, second, "too few words", long, dressed, ""])
    assert rows.shape == (6, PERMUTATIONS)
    assert (rows[0] == rows[4]).all()
    assert (rows[1] == signatures([second])[0]).all(), "whatever stands beside it"
    assert not rows[2].any()
    assert not rows[5].any()
    assert (rows[3] == signatures([long])[0]).all(), "longer than what is hashed at once"
    assert signatures([]).shape == (0, PERMUTATIONS)
    assert (signatures(["wörter über größe " * 10])[0] != 0).any()


def test_equal_but_for_dress_is_equal() -> None:
    def same(a: str, b: str) -> bool:
        return fingerprint({"text": a}) == fingerprint({"text": b})

    assert same("Hello, World_!", "hello world")
    assert not same("hello world", "hello word")
    marks = np.array([[1, 2], [3, 4], [1, 2], [1, 3], [3, 4], [1, 2]], np.uint64)
    assert first_equal(marks).tolist() == [0, 1, 0, 3, 1, 0]
    assert first_equal(np.zeros((0, 2), np.uint64)).tolist() == []


@given(st.text(st.one_of(st.sampled_from("aB_ -.ÄßİǅΣ“’\u0301٣²"), st.characters()), max_size=40))
def test_letters_by_their_definition(text: str) -> None:
    """The table for ASCII and the expression for the rest come to what an expression for all comes to."""
    assert letters_of(text) == re.sub(r"[\W_]+", "", text.casefold()).encode("utf-8", "replace")


def test_near_copies_are_found_and_the_first_stays() -> None:
    originals = [text(200) for _ in range(60)]
    texts, group = [], []
    for _ in range(4):
        for number, original in enumerate(originals):
            texts.append(changed(original, 0.01) if texts[len(originals) :] or group.count(number) else original)
            group.append(number)
    texts += [changed(original, 0.3) for original in originals]
    rows = signatures(texts)
    result = first_alike(rows, 0.8, np.arange(len(texts)))
    copies = [i for i in range(60, 240) if result[i] == i]
    assert len(copies) < 9, "a copy with 1 % of its words changed is about 0.9 like the original"
    assert all(result[i] in (i, group[i]) or group[result[i]] == group[i] for i in range(240)), "no wrong one"
    assert (result[240:] == np.arange(240, 300)).all(), "a third changed is another text"
    alone = first_alike(rows, 0.8, np.arange(60))
    assert (alone == np.arange(300)).all(), "only those that are named are compared"


def test_bands_are_as_wide_as_the_threshold_allows() -> None:
    assert [band_rows(t) for t in (0.95, 0.8, 0.5, 0.1)] == [16, 8, 2, 1]
