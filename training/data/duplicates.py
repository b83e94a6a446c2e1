"""Duplicates: which documents are the same, or nearly, and which of them stays.

Equal means equal but for case, spacing and punctuation. Nearly means that the sets of word 5-grams are alike by more
than a threshold (Jaccard), estimated by MinHash (Broder 1997; Rensa computes the signatures) on candidates which
locality-sensitive hashing finds. Of those that are the same the one that was read first stays.

Everything here works on fingerprints and signatures of fixed size, never on the texts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from training.data.documents import Document, as_text

PERMUTATIONS = 128  # values of a signature: the similarity it says is right to within ± 0.04
NGRAM = 5  # words
FEWEST_WORDS = 20  # of a document that is compared by similarity; below, a word more or less says too much
SEED = 1
PIECE = 1_000_000  # bytes that are hashed at once
COMPARED = 65_536  # pairs of signatures that are compared at once

_MARKS = bytes(byte for byte in range(128) if not chr(byte).isalnum())  # ASCII that is no letter and no digit
_OTHER_MARKS = re.compile(r"[^\x00-\x7f\w]+")
_SMALL = bytes.maketrans(bytes(range(ord("A"), ord("Z") + 1)), bytes(range(ord("a"), ord("z") + 1)))
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2⁶⁴
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
_IS_WORD = np.zeros(256, bool)
_IS_WORD[[*b"0123456789", *range(ord("a"), ord("z") + 1), *range(128, 256)]] = True


def fingerprint(document: Document) -> bytes:
    """16 bytes, equal for documents that differ only in case, spacing and punctuation."""
    return hashlib.blake2b(letters_of(as_text(document)), digest_size=16).digest()


def letters_of(text: str) -> bytes:
    """The letters and digits of `text` without case, in UTF-8.

    Most text is ASCII, whose bytes a table lower-cases and sieves ten times faster than an expression could.
    """
    if not text.isascii():
        text = _OTHER_MARKS.sub("", text.casefold())
    return text.encode("utf-8", "replace").translate(_SMALL, _MARKS)


def signatures(texts: list[str]) -> np.ndarray:
    """uint32 [texts, PERMUTATIONS]: the MinHash of each text's word 5-grams; all zero for a text of few words."""
    parts = [_signatures(piece) for piece in _pieces(texts)]
    return np.concatenate(parts) if parts else np.zeros((0, PERMUTATIONS), np.uint32)


def _pieces(texts: list[str]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for text in texts:
        data = text.encode("utf-8", "replace") + b" "
        if piece and size + len(data) > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(data)
        size += len(data)
    if piece:
        yield piece


def _signatures(texts: list[bytes]) -> np.ndarray:
    from rensa import RMinHash

    words, first = word_hashes(texts)  # of all texts in a row; which word each text begins with
    grams = mixed_bits(ngram_hashes(words))
    enough = np.diff(first) >= FEWEST_WORDS
    begin, end = first[:-1][enough], first[1:][enough] - NGRAM + 1
    result = np.zeros((len(texts), PERMUTATIONS), np.uint32)
    if enough.any():
        flat = np.concatenate([grams[a:b] for a, b in zip(begin, end, strict=True)])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(end - begin)]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, PERMUTATIONS, SEED)
        result[enough] = np.array(matrix.to_rows(), np.uint32)
    return result


def word_hashes(texts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(uint64 [words], int64 [texts + 1]): a hash of each word, case aside, and where in them each text begins.

    A word's hash is a polynomial in its bytes modulo 2⁶⁴, taken out of running sums: no loop over words in Python.
    """
    data = _LOWER[np.frombuffer(b"".join(texts), np.uint8)]
    inside = np.concatenate([[False], _IS_WORD[data], [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    begin, end = edges[::2], edges[1::2]
    powers, inverses = _powers(1 << len(data).bit_length())
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(data * powers[: len(data)], out=sums[1:], dtype=np.uint64)
    hashes = mixed_bits((sums[end] - sums[begin]) * inverses[begin])
    places = np.cumsum([0, *map(len, texts)])
    return hashes, np.searchsorted(begin, places)


@lru_cache(maxsize=2)
def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The factor's powers 0, 1, … and their inverses, modulo 2⁶⁴."""
    factors = np.full((2, count), np.array([[_FACTOR], [pow(_FACTOR, -1, 2**64)]], np.uint64))
    factors[:, :1] = 1
    powers, inverses = np.cumprod(factors, axis=1, dtype=np.uint64)
    return powers, inverses


def ngram_hashes(words: np.ndarray) -> np.ndarray:
    """uint64 [words - NGRAM + 1]: a hash of each NGRAM words in a row."""
    count = max(len(words) - NGRAM + 1, 0)
    grams = np.zeros(count, np.uint64)
    for place in range(NGRAM):
        grams = grams * np.uint64(0x100000001B3) + words[place : place + count]
    return grams


def mixed_bits(values: np.ndarray) -> np.ndarray:
    """`values` with every bit of each depending on all of its bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def first_equal(fingerprints: np.ndarray) -> np.ndarray:
    """int64 [n]: for each of `fingerprints` (uint64 [n, 2]) the index of the first that equals it, often itself."""
    order = np.lexsort((fingerprints[:, 1], fingerprints[:, 0]))  # stable: the first of a run is the first of all
    same = (fingerprints[order[1:]] == fingerprints[order[:-1]]).all(axis=1)
    result = np.empty(len(order), np.int64)
    result[order] = order[_run_starts(same, len(order))]
    return result


def first_alike(signatures: np.ndarray, threshold: float, among: np.ndarray) -> np.ndarray:
    """int64 [n]: for each document the first of its group of near-duplicates, often itself.

    Args:
        signatures: uint32 [n, PERMUTATIONS], may be mapped from a file: a few columns are read at a time.
        threshold: similarity from which two documents are the same.
        among: int64 [m], rising: the documents that are compared; all others are alone.
    """
    root = np.arange(len(signatures))
    rows = band_rows(threshold)
    for band in range(0, PERMUTATIONS, rows):
        keys = _band_keys(signatures, among, slice(band, band + rows))
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        later = np.flatnonzero(same) + 1
        starts = _run_starts(same, len(order))
        # Each of a run is compared with the run's first and with the one before it: two comparisons, not a square.
        for other in (starts[later], later - 1):
            pairs = np.stack([among[order[other]], among[order[later]]], axis=1)
            _join(root, pairs, signatures, threshold)
    return np.array([_find(root, index) for index in range(len(root))], np.int64)


def band_rows(threshold: float) -> int:
    """As many values a band as still find 90 % of the pairs that are just alike enough: fewest vain comparisons."""
    found = {rows: 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows) for rows in (16, 8, 4, 2, 1)}
    return next((rows for rows, chance in found.items() if chance >= 0.9), 1)


def _band_keys(signatures: np.ndarray, among: np.ndarray, band: slice) -> np.ndarray:
    """uint64 [m]: a hash of the values of one band, equal for documents that agree in all of them."""
    keys = np.zeros(len(among), np.uint64)
    for at in range(0, len(among), COMPARED):
        block = slice(at, at + COMPARED)
        for column in signatures[among[block], band].T:
            keys[block] = mixed_bits(keys[block] * np.uint64(_FACTOR) + column)
    return keys


def _run_starts(same: np.ndarray, count: int) -> np.ndarray:
    """Where the run of equal keys begins that each sorted key is in; `same` [count - 1]: it equals the one before."""
    starts = np.arange(count)
    starts[1:][same] = 0
    return np.maximum.accumulate(starts)


def _join(root: np.ndarray, pairs: np.ndarray, signatures: np.ndarray, threshold: float) -> None:
    """Put the documents of each pair into one group where their signatures agree in enough places."""
    for at in range(0, len(pairs), COMPARED):
        block = pairs[at : at + COMPARED]
        alike = (signatures[block[:, 0]] == signatures[block[:, 1]]).mean(axis=1) >= threshold
        for a, b in block[alike]:
            first, second = _find(root, int(a)), _find(root, int(b))
            root[max(first, second)] = min(first, second)


def _find(root: np.ndarray, index: int) -> int:
    while root[index] != index:
        root[index] = root[root[index]]
        index = int(root[index])
    return index
