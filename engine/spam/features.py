"""A text → hashed features: words, pairs of neighbours, letter groups, what `structure.py` and `topics.py` say of it.

Owns the columns (Weinberger et al. 2009, without the sign) and the values: log counts, the words', the letter groups',
the observations' and the subjects' each brought to one length, so that none drowns the others. Numpy only. The
weights are `hashed_scorer.py`'s.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.spam.structure import structure
from engine.spam.topics import about, mentions

VERSION = 3  # of what a column means: a scorer's weights belong to one
BITS = 20  # 2**20 columns
GROUPS = (3, 4, 5)  # letters that are hashed together
LETTERS, STRUCTURE = 0.7, 0.5  # lengths of the letter groups' and the observations' part, where the words' is 1
SUBJECTS, FEW_SUBJECTS = 0.7, 8  # length of the subjects' part; fewer observations of them make it shorter
WORDS, LETTER_GROUPS, OBSERVATIONS, ABOUT = range(4)  # kinds of features
KINDS = 4
_WORD = re.compile(r"<[a-z]+(?: [^<>\n]{1,80})?>|[^\W_]+(?:['.@-][^\W_]+)*|[^\w\s]")
_PRIMES = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], dtype=np.uint32)
_SCALE = 1 / float(np.sqrt(1 + LETTERS**2 + STRUCTURE**2 + SUBJECTS**2))


@dataclass(frozen=True)
class Features:
    """A text's features: columns [N], and the value of each [N] (fp32); the values' length is 1 at most."""

    columns: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Reading:
    """The hashed columns of one text in reading order: of each kind, and where each begins."""

    words: tuple[np.ndarray, ...]  # of words and of pairs
    starts: tuple[np.ndarray, ...]  # where each word and pair begins, in characters of the squeezed text
    letters: tuple[np.ndarray, ...]  # of letter groups, one array a size; each begins where it stands in the array
    seen: np.ndarray  # columns of the observations
    subjects: np.ndarray  # [mentions, 3]: what `topics.py` knows of the words
    length: int  # characters of the squeezed text
    bits: int


def read(text: str, bits: int = BITS) -> Reading:
    """Hash everything in `text`. Case and the kind of white space are only seen by the observations."""
    plain = " ".join(_lowered(text).split())
    matches = list(_WORD.finditer(plain))
    words = np.array([zlib.crc32(m[0].encode("utf-8", "replace")) for m in matches], dtype=np.uint32)
    starts = np.array([m.start() for m in matches], dtype=np.int64)
    pairs = (words[:-1] * _PRIMES[0]) ^ (words[1:] * _PRIMES[1]) ^ np.uint32(0x5BD1E995)
    seen = np.array([zlib.crc32(f"#{name}".encode()) for name in structure(text)], dtype=np.uint32)
    return Reading(
        words=(mixed(words, bits), mixed(pairs, bits)),
        starts=(starts, starts[:-1]),
        letters=tuple(mixed(group, bits) for group in letter_groups(plain)),
        seen=mixed(seen, bits),
        subjects=mentions([m[0] for m in matches]),
        length=len(plain),
        bits=bits,
    )


def part_of(reading: Reading, start: int, end: int) -> Reading:
    """What stands between two places of the squeezed text; the observations stay those of the whole."""
    places = [np.searchsorted(begins, (start, end)) for begins in reading.starts]
    first, last = places[0]
    subjects = reading.subjects[(reading.subjects[:, 0] >= first) & (reading.subjects[:, 0] < last)]
    return replace(
        reading,
        words=tuple(columns[a:b] for columns, (a, b) in zip(reading.words, places, strict=True)),
        starts=tuple(begins[a:b] for begins, (a, b) in zip(reading.starts, places, strict=True)),
        letters=tuple(group[start:end] for group in reading.letters),
        subjects=subjects - (first, 0, 0),
        length=end - start,
    )


def letter_groups(plain: str) -> list[np.ndarray]:
    """Hashes of all 3, 4 and 5 neighbouring letters of `plain` and a space on either side, one array a size."""
    letters = np.frombuffer(f" {plain} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32) + np.uint32(1)
    groups = []
    hashed = letters * _PRIMES[0]
    for size in range(2, max(GROUPS) + 1):
        if len(letters) < size:
            groups.append(np.empty(0, dtype=np.uint32))
            continue
        hashed = hashed[:-1] * np.uint32(0x01000193) ^ letters[size - 1 :] * _PRIMES[size - 1]
        groups.append(hashed ^ np.uint32(size * 0x1234567))
    return [group for size, group in enumerate(groups, start=2) if size in GROUPS]


def mixed(hashes: np.ndarray, bits: int) -> np.ndarray:
    """The upper `bits` of hashes that were stirred (Mueller's integer hash), since those of sums are not even."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x45D9F3B)
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return (hashes ^ (hashes >> np.uint32(16))) >> np.uint32(32 - bits)


def features_of(readings: Sequence[Reading]) -> list[Features]:
    """The features of whole texts, or of parts. Words, letter groups, observations and subjects share the columns.

    All texts and kinds go together, each with a number above its columns: many small sorts cost more than a large one.
    """
    if not readings:
        return []
    bits = readings[0].bits
    hashes, owners = about([r.subjects for r in readings], [len(r.words[0]) for r in readings])
    groups = [group for r in readings for group in (*r.words, *r.letters, r.seen)]
    kinds = [k for r in readings for k in (*[WORDS] * len(r.words), *[LETTER_GROUPS] * len(r.letters), OBSERVATIONS)]
    texts = [number for number, r in enumerate(readings) for _ in (*r.words, *r.letters, r.seen)]
    above = np.repeat(np.array(texts) * KINDS + np.array(kinds), [len(group) for group in groups])
    above = np.concatenate((above, owners * KINDS + ABOUT))
    marked = above << bits | np.concatenate((*groups, mixed(hashes, bits)))
    columns, counts = np.unique(marked, return_counts=True)
    values = 1 + np.log(counts)
    place = columns >> bits
    subjects = np.bincount(owners, minlength=len(readings)) / FEW_SUBJECTS
    lengths = np.tile([1.0, LETTERS, STRUCTURE, SUBJECTS], (len(readings), 1))
    lengths[:, ABOUT] *= np.minimum(1.0, np.sqrt(subjects))
    norms = np.sqrt(np.bincount(place, np.square(values), minlength=lengths.size))
    values *= (_SCALE * lengths.ravel() / np.where(norms > 0, norms, 1.0))[place]
    ends = np.searchsorted(place, np.arange(1, len(readings)) * KINDS)
    columns = (columns & (1 << bits) - 1).astype(np.uint32)
    found = zip(np.split(columns, ends), np.split(values.astype(np.float32), ends), strict=True)
    return [Features(*each) for each in found]


def features(text: str, bits: int = BITS) -> Features:
    """All features of `text`."""
    return features_of([read(text, bits)])[0]


def _lowered(text: str) -> str:
    """`text` in lower case, every letter of it where it was: a few would grow."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
