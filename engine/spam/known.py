"""Known spam: how much of a spam that was learned comes back in a text, whatever stands around it.

Owns the marks of old spam (of each the columns of `features.py` that hardly any other mail has) and the share of them
that a text has. Spam is sent a thousand times with small changes, and honest mail is not: the share is next to nothing
for any other text, so that it cannot do harm where all mail is strange. No text can be read out of the marks. Numpy
only; which columns are marks is chosen by `training/spam/marking.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

FROM, ALL = 0.3, 0.5  # of a spam's marks: what a text may have by chance, and what tells that it is the same spam
_NAMES = ("known_columns", "known_spams", "known_sizes")


@dataclass(frozen=True)
class Known:
    """The marks of S spams, M in all."""

    columns: np.ndarray  # [M] int32, rising
    spams: np.ndarray  # [M] uint16: whose mark each is
    sizes: np.ndarray  # [S] uint8: how many marks each spam has, 1 or more

    def share(self, columns: np.ndarray) -> float:
        """The largest share of one spam's marks that are among `columns` [N], a text's; 0 … 1."""
        if not len(self.sizes):
            return 0.0
        asked = columns[self._marked[np.minimum(columns, len(self._marked) - 1)]]  # most are no spam's
        asked = np.unique(asked).astype(self.columns.dtype)  # words and letters may share a column
        first = np.searchsorted(self.columns, asked, "left")
        found = np.searchsorted(self.columns, asked, "right") - first
        places = np.repeat(first - (np.cumsum(found) - found), found) + np.arange(found.sum())
        return float((np.bincount(self.spams[places], minlength=len(self.sizes)) / self.sizes).max())

    @cached_property
    def _marked(self) -> np.ndarray:
        """[columns + 1] bool: whether each is a mark; the last is none."""
        marked = np.zeros(int(self.columns[-1]) + 2, dtype=bool)
        marked[self.columns] = True
        return marked

    def tensors(self) -> dict[str, np.ndarray]:
        """What `from_tensors` reads."""
        return dict(zip(_NAMES, (self.columns, self.spams, self.sizes), strict=True))


NOTHING = Known(np.empty(0, np.int32), np.empty(0, np.uint16), np.empty(0, np.uint8))


def from_tensors(tensors: Mapping[str, np.ndarray]) -> Known:
    """The marks among a scorer's `tensors`; none where it was made without.

    Raises:
        ValueError: they do not fit each other.
    """
    if not any(name in tensors for name in _NAMES):
        return NOTHING
    known = Known(*(tensors.get(name, NOTHING.sizes) for name in _NAMES))
    whole = all(array.ndim == 1 and np.issubdtype(array.dtype, np.integer) for array in vars(known).values())
    if not whole or len(known.columns) != len(known.spams) or (np.diff(known.columns) < 0).any():
        raise ValueError("its marks of known spam do not fit")
    if (
        len(known.spams) != known.sizes.sum()
        or (known.sizes == 0).any()
        or known.spams.max(initial=0) >= max(len(known.sizes), 1)
    ):
        raise ValueError("its marks of known spam do not fit")
    return known


def familiar(share: float) -> float:
    """0 … 1: how certainly a text with `share` of a spam's marks is that spam."""
    return min(max((share - FROM) / (ALL - FROM), 0.0), 1.0)
