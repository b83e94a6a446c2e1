"""Which columns of old spam are its marks: those that weigh most in it by TF-IDF, and that hardly any mail has.

Spam of the corpora is marked, English and mail written by hand are nobody's; and spam that a person has called so. The
share of marks that a text has is `engine/spam/known.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.spam.features import Features
from engine.spam.known import FROM, NOTHING, Known
from training.spam.traces import Traces

MARKS, FEWEST = 64, 24  # of one spam; one with fewer has none
RARE, RARER = 3, 0.01  # a mark may stand in so many mails, or in such a share of all
SAME = 0.8  # a spam with such a share of an earlier one's marks gets none of its own


def marked(mails: Sequence[Features], spam: np.ndarray, bits: int) -> Known:
    """The marks of the spam among `mails`, which are labelled by `spam` [N] bool; a pure function of both."""
    counts = np.zeros(2**bits, dtype=np.int64)
    for mail in mails:
        counts[mail.columns] += 1  # once, though words and letters may share a column
    most = max(RARE, RARER * len(mails))
    kept: list[np.ndarray] = []
    holders: dict[int, list[int]] = {}  # of each mark, the spams that are kept
    for place in np.flatnonzero(spam).tolist():
        columns, marks = _rare(mails[place], counts, len(mails), most)
        if len(marks) < FEWEST or _is_known(columns, holders, kept):
            continue
        for column in marks.tolist():
            holders.setdefault(column, []).append(len(kept))
        kept.append(marks)
    return _together(kept)


def taught(known: Known, mails: Sequence[Features], spam: np.ndarray, old: Traces, thinned: int = 1) -> Known:
    """`known` with the marks of the spam among corrected `mails`, labelled by `spam` [N] bool, and without those of any
    spam that an honest one among them is taken for.

    Args:
        old: other mail, by which a column is rare. What honest mail of it has a good part of is no spam's mark.
        thinned: one in so many letter groups is in `old`.
    """
    honest = [mail.columns for mail, is_spam in zip(mails, spam, strict=True) if not is_spam]
    wrong = np.zeros(len(known.sizes), dtype=bool)
    for columns in honest:
        wrong |= _shares(known, columns) >= FROM
    left = _together([marks for marks, is_wrong in zip(_apart(known), wrong, strict=True) if not is_wrong])
    highest = 1 + max(int(columns.max(initial=0)) for columns in (old.columns, *(mail.columns for mail in mails)))
    counts, most = np.bincount(old.columns, minlength=highest), RARER * len(old) / thinned
    said = np.concatenate([np.empty(0, dtype=np.int64), *honest]).astype(np.int64)  # honest by a person
    whose = np.repeat(np.arange(len(honest)), [len(columns) for columns in honest])
    kept: list[np.ndarray] = []
    for mail in (mail for mail, is_spam in zip(mails, spam, strict=True) if is_spam):
        columns, marks = _rare(mail, counts, len(old), most)
        if len(marks) < FEWEST or left.share(columns) >= SAME or any(_share(one, columns) >= SAME for one in kept):
            continue
        is_mark = np.zeros(highest, dtype=bool)
        is_mark[marks] = True
        found = np.bincount(old.places, is_mark[old.columns], minlength=len(old))[~old.spam].max(initial=0) * thinned
        found = max(found, np.bincount(whose, is_mark[said], minlength=1).max(initial=0))
        if found < FROM * len(marks):
            kept.append(marks)
    return _together([*_apart(left), *kept])


def _rare(mail: Features, counts: np.ndarray, of: int, most: float) -> tuple[np.ndarray, np.ndarray]:
    """The columns of `mail` that at most `most` of so many mails have, rising; and those of them that weigh most."""
    found, first = np.unique(mail.columns, return_index=True)
    columns = found[counts[found] <= most].astype(np.int32)
    values = mail.values[first][counts[found] <= most]
    order = np.argsort(-(values * np.log((of + 1) / (counts[columns] + 1))), kind="stable")
    return columns, columns[order[:MARKS]]


def _share(marks: np.ndarray, columns: np.ndarray) -> float:
    return float(np.isin(marks, columns).mean())


def _shares(known: Known, columns: np.ndarray) -> np.ndarray:
    """[S]: the share of each spam's marks that are among `columns`."""
    there = np.zeros(1 + max(int(known.columns.max(initial=0)), int(columns.max(initial=0))), dtype=bool)
    there[columns] = True
    return np.bincount(known.spams, there[known.columns], minlength=len(known.sizes)) / known.sizes


def _apart(known: Known) -> list[np.ndarray]:
    """The marks of each spam that is known."""
    order = np.argsort(known.spams, kind="stable")
    ends = np.cumsum(known.sizes, dtype=np.int64)
    return np.split(known.columns[order], ends[:-1]) if len(ends) else []


def _together(kept: Sequence[np.ndarray]) -> Known:
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
