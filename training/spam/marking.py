"""Which columns of old spam are its marks: those that weigh most in it by TF-IDF, and that hardly any mail has.

Spam of the corpora alone is marked: English and mail written by hand are nobody's. The share of marks that a text has
is `engine/spam/known.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.spam.features import Features
from engine.spam.known import NOTHING, Known

MARKS, FEWEST = 64, 24  # of one spam; one with fewer has none
RARE, RARER = 3, 0.01  # a mark may stand in so many mails, or in such a share of all
SAME = 0.8  # a spam with such a share of an earlier one's marks gets none of its own


def marked(mails: Sequence[Features], spam: np.ndarray, bits: int) -> Known:
    """The marks of the spam among `mails`, which are labelled by `spam` [N] bool; a pure function of both."""
    counts = np.zeros(2**bits, dtype=np.int64)
    for mail in mails:
        counts[mail.columns] += 1  # once, though words and letters may share a column
    rarity, most = np.log((len(mails) + 1) / (counts + 1)), max(RARE, RARER * len(mails))
    kept: list[np.ndarray] = []
    holders: dict[int, list[int]] = {}  # of each mark, the spams that are kept
    for place in np.flatnonzero(spam).tolist():
        mail = mails[place]
        found, first = np.unique(mail.columns, return_index=True)
        columns = found[counts[found] <= most].astype(np.int32)
        values = mail.values[first][counts[found] <= most]
        order = np.argsort(-(values * rarity[columns]), kind="stable")
        marks = columns[order[:MARKS]]
        if len(marks) < FEWEST or _is_known(columns, holders, kept):
            continue
        for column in marks.tolist():
            holders.setdefault(column, []).append(len(kept))
        kept.append(marks)
    if not kept or len(kept) > np.iinfo(np.uint16).max:
        return NOTHING
    spams = np.repeat(np.arange(len(kept), dtype=np.uint16), [len(marks) for marks in kept])
    every = np.concatenate(kept)
    order = np.argsort(every, kind="stable")
    return Known(every[order], spams[order], np.array([len(marks) for marks in kept], dtype=np.uint8))


def _is_known(columns: np.ndarray, holders: dict[int, list[int]], kept: Sequence[np.ndarray]) -> bool:
    found = [spam for column in columns.tolist() for spam in holders.get(column, ())]
    if not found:
        return False
    spams, shared = np.unique(found, return_counts=True)
    sizes = np.array([len(kept[spam]) for spam in spams])
    return bool((shared >= SAME * sizes).any())
