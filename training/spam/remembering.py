"""Makes the memory of a spam scorer out of the mail it was fitted on: `python -m training spam memory`.

Owns which mails are remembered, what is kept of each, and what was said of those to compare on by scorers that had not
seen them (cross-fitted, as in `stacking.py`): the one that ships has seen all the mail there is. The file is
`memory.py`'s.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.spam.features import Features, features_of, mixed, read
from engine.spam.loading import load_judge
from engine.spam.stacked_scorer import StackedScorer
from training.errors import TrainingError
from training.spam.fitting import Matrix, Rows, cross_fitted, joined, weights_of
from training.spam.memory import FILE, Memory, write_memory
from training.spam.network import fit_head, pooled_by
from training.spam.stacking import read_rows, rewrite_card
from training.spam.traces import margins_of, trace

MAILS = 1000  # that are played back, and as many others that are compared on
KEPT = 4  # one in so many letter groups of a mail is kept, and counts so many times


def remember(prepared: Path, folder: Path, mails: int = MAILS) -> dict[str, Any]:
    """Write the memory of the scorer in `folder`, and say so in its card; what is said there.

    Args:
        prepared: what `prepare` wrote and the scorer was fitted on.
        mails: how many are played back, and how many others are compared on.

    Raises:
        ModelFolderError, TrainingError: one of the two cannot be read, or the scorer is of another kind.
    """
    scorer = load_judge(folder)
    if not isinstance(scorer, StackedScorer):
        raise TrainingError(f"{folder} is no scorer of two parts: only what `stack` wrote gets a memory.")
    rows = joined(read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl"))
    seen, neural, hashed = _unseen(scorer, rows)
    first, second = chosen(seen, mails)
    replayed, benchmark = (
        trace(scorer, part.texts, part.spam, thinned) for part in (seen.take(first), seen.take(second))
    )
    benchmark = replace(benchmark, neural=neural[second], hashed=hashed[second])
    write_memory(Memory(replayed, benchmark), folder)
    right = (margins_of(scorer, benchmark) >= 0) == benchmark.spam
    facts = {
        "replayed": len(replayed),
        "benchmark": len(benchmark),
        "spam": int(benchmark.spam.sum()),
        "accuracy": float(right.mean()),
        "bytes": (folder / FILE).stat().st_size,
    }
    rewrite_card(folder, {"memory": facts})
    return facts


def _unseen(scorer: StackedScorer, rows: Rows) -> tuple[Rows, np.ndarray, np.ndarray]:
    """(the mails of `rows` as they were sent, log-odds of each by a network's head and by a hashed scorer that had not
    seen it)."""
    places, views = cross_fitted(rows, Matrix(rows.texts, scorer.classical.bits), weights_of(rows))
    plain = rows.kinds[places] == "plain"
    seen = rows.take(places[plain])
    head = fit_head(pooled_by(scorer.network, seen.texts), seen.spam, seen.folds, weights_of(seen))
    return seen, head.margins, views[plain] @ scorer.classical.mix + scorer.classical.offset


def chosen(rows: Rows, mails: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of `mails` of `rows` to play back, and of as many others to compare on: as many of each source and label
    as of every other, as far as there are so many. Which ones depends on their texts alone, not on their order."""
    groups: dict[tuple[str, bool], list[int]] = {}
    for place, group in enumerate(zip(rows.sources, rows.spam.tolist(), strict=True)):
        groups.setdefault(group, []).append(place)
    marks = [hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in rows.texts]
    first: list[int] = []
    second: list[int] = []
    for number, group in enumerate(sorted(groups)):
        places = sorted(groups[group], key=lambda place: marks[place])
        wanted = mails * (number + 1) // len(groups) - mails * number // len(groups)
        count = min(wanted, len(places) // 2)
        first += places[:count]
        second += places[count : 2 * count]
    return np.array(first), np.array(second)


def thinned(text: str, bits: int) -> Features:
    """The features of `text` with one in KEPT of its letter groups, each for the others with it: on average any weights
    say the same of both. Which ones is drawn for every text anew, so that no column is kept for all."""
    reading, none = read(text, bits), np.empty(0, dtype=np.uint32)
    letters = features_of(replace(reading, words=(none, none), seen=none))
    others = features_of(replace(reading, letters=(none,)))
    mark = np.uint32(zlib.crc32(text.encode("utf-8", "replace")))
    kept = mixed(letters.columns.astype(np.uint32) ^ mark, 32) % KEPT == 0
    columns, places = np.unique(np.concatenate([others.columns, letters.columns[kept]]), return_inverse=True)
    values = np.concatenate([others.values, KEPT * letters.values[kept]])
    return Features(columns, np.bincount(places, values).astype(np.float32))
