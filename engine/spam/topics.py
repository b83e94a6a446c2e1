"""What a text is about: how many words of each subject of `topics.txt` stand in it, such as medicine, loans, meetings.

A word that no training mail has says little by itself; by its subject it counts as much as its neighbours there. The
list was written by hand. It does not say which subjects are spam's: that is learned.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "topics.txt"
STEPS = 16  # of a number: 0, 1, 2, 3, 5, 7, 11 … words


@dataclass(frozen=True)
class Subjects:
    """The list."""

    places: Mapping[str, tuple[tuple[int, int], ...]]  # of each word its own number, and the number of each subject
    columns: np.ndarray  # [2, subjects, STEPS] uint32: the hash of each observation


@cache
def subjects(path: Path = FILE) -> Subjects:
    """The list in `path`: a line for each subject, its name, a colon, its words."""
    places: dict[str, tuple[tuple[int, int], ...]] = {}
    names: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, words = line.partition(":")
        if line.startswith("#") or not words:
            continue
        listed = words.split()
        for word in dict.fromkeys([*listed, *(f"{one}s" for one in listed)]):  # and the plural
            number = places[word][0][0] if word in places else len(places)
            places[word] = (*places.get(word, ()), (number, len(names)))
        names.append(name)
    hashes = [
        [[zlib.crc32(f"#about {name}{kind}:{step}".encode()) for step in range(STEPS)] for name in names]
        for kind in ("", " in 100")
    ]
    return Subjects(places, np.array(hashes, dtype=np.uint32))


def mentions(words: Sequence[str]) -> np.ndarray:
    """[mentions, 3] int64: for every word of the list among `words` its place there, its number, and a subject's."""
    known = subjects().places
    found = [(place, *one) for place, word in enumerate(words) if word in known for one in known[word]]
    return np.array(found, dtype=np.int64).reshape(len(found), 3)


def about(found: Sequence[np.ndarray], words: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes [2 × subjects that occur] of what `mentions` say of texts of so many words, and whose each is: in steps,
    how many different words of each subject a text has, and how many in 100. uint32 and int64."""
    table = subjects().columns
    width, one = table.shape[1], np.concatenate([*found, np.empty((0, 3), dtype=np.int64)])
    owners = np.repeat(np.arange(len(found)), [len(each) for each in found])
    listed = one[:, 1].max(initial=0) + 1  # numbers that words may have
    counts = np.bincount(owners * width + one[:, 2], minlength=len(found) * width)
    distinct = np.unique((owners * listed + one[:, 1]) * width + one[:, 2])
    different = np.bincount(distinct // (listed * width) * width + distinct % width, minlength=len(found) * width)
    here = np.flatnonzero(counts)
    owner, subject = here // width, here % width
    share = 100 * counts[here] / np.maximum(np.asarray(words, dtype=np.int64), 1)[owner]
    hashes = table[0, subject, _steps(different[here])], table[1, subject, _steps(share)]
    return np.concatenate(hashes), np.concatenate((owner, owner))


def _steps(numbers: np.ndarray) -> np.ndarray:
    return np.minimum(2 * np.log2(1 + numbers), STEPS - 1).astype(np.int64)
