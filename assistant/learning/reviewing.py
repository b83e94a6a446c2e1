"""What a person said, as things to learn from: shown one by one before any run, each of which can be left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Choice:
    """One of them, as a review shows it."""

    key: str  # tells it from others
    why: str  # where it comes from
    lines: tuple[tuple[str, str, str], ...]  # (sign, words, colour)


class Reviewed(Protocol):
    """All of one kind in the store. Nothing is used unasked: the file for a run is written when one is prepared."""

    def count(self) -> str:
        """How much there is, in a word or two: "3 marks"; "" for nothing."""

    def choices(self) -> list[Choice]:
        """Every one, the older first."""

    def summary(self, left_out: set[str] = ...) -> str:
        """How many there are, and what makes more."""

    def write(self, path: Path, left_out: set[str]) -> Path:
        """Write those that are to be used into `path`, as the lab reads them.

        Raises:
            LearningError: there are none, or the file cannot be written.
        """


def hash_of(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()
