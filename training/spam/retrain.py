"""Learning from corrections: `python -m training spam retrain`. Yesterday's scorer and what it was told → a new one.

Owns what is learned from (corrections, and old mail played back: as text where there is any, else what the scorer
remembers, `memory.py`) and the comparison before the new scorer is written (`successor.py`). Both scorers' linear
layers are refitted from where they are (`traces.py`); the network's blocks stay. Spam is marked as well (`marking.py`),
so that it is known when it comes back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from engine.email_text.normalise import normalise
from engine.errors import ModelFolderError
from engine.spam.features import features
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.judge import DEFAULT_FALSE_ALARMS, decide, threshold_for
from engine.spam.loading import BUNDLED, load_judge
from engine.spam.stacked_scorer import StackedScorer
from training.errors import TrainingError
from training.spam.fitting import Rows
from training.spam.marking import taught
from training.spam.measures import measure
from training.spam.memory import FILE, Memory, read_memory
from training.spam.remembering import KEPT
from training.spam.stacking import read_rows, thresholds
from training.spam.successor import write_successor
from training.spam.traces import Change, Scorer, Traces, apply, hashed_part, joined, learn, margins_of, moved, trace

REPLAYED = 3000  # old mails that are played back
WEIGHT = 4.0  # a correction counts as much as so many of them
SPRING = 0.05  # how much is held to the old weights when old mail is played back
HELD = 0.3  # how much each of those is held to how it was judged
SPRING_ALONE = 1.0  # and when it is not
MOST_LOST = 0.003  # of the benchmark's accuracy
FEWEST_HAM = 1000  # honest mails from which on new thresholds are measured


@dataclass(frozen=True)
class Comparison:
    """The old scorer and the new one, on the corrections and on old mail that nothing is learned from now."""

    corrections: int
    right_before: int  # on the right side of one half
    right_after: int
    plain_before: int  # answered as they were labelled: what is spam is not only likely to be
    plain_after: int
    benchmark: int  # mails; 0: there was no old mail to compare on
    accuracy_before: float
    accuracy_after: float
    adopted: bool  # whether the new scorer was written
    sentence: str

    @property
    def right(self) -> tuple[int, int]:
        """Corrections judged right, before and after."""
        return self.right_before, self.right_after

    @property
    def plain(self) -> tuple[int, int]:
        """Corrections whose answer is their label and not “unsure”, before and after."""
        return self.plain_before, self.plain_after

    @property
    def idle(self) -> bool:
        """Nothing is judged otherwise now."""
        return self.right[0] == self.right[1] and self.plain[0] == self.plain[1]

    @property
    def worse(self) -> bool:
        """Fewer corrections are right, or more of the benchmark is lost than may be."""
        return self.right_after < self.right_before or self.accuracy_after < self.accuracy_before - MOST_LOST


def read_corrections(path: Path) -> Rows:
    """JSON lines with `label` ("spam", or "not spam"), and `mail` as it came or `text` as the normaliser made it.

    Raises:
        TrainingError: missing, not such lines, or none.
    """
    texts, spam = [], []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if row["label"] not in ("spam", "not spam", "ham"):
                raise TrainingError(f'{path}, line {number}: the label must be "spam" or "not spam".')
            texts.append(str(row["text"]) if "text" in row else normalise(str(row["mail"])).text)
            spam.append(row["label"] == "spam")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} cannot be read as corrections, JSON lines with mail and label ({error})."
        ) from None
    if not texts:
        raise TrainingError(f"{path} holds no corrections.")
    count = len(texts)
    return Rows(texts, np.array(spam), [""] * count, np.zeros(count, int), np.ones(count), np.full(count, "plain"))


def retrain(
    scorer: Path | None, corrections: Path, data: Path | None, out: Path, *, always: bool = False
) -> Comparison:
    """Learn from `corrections` and write the new scorer into `out`, unless it is worse.

    Args:
        scorer: the folder to start from; None: the one that ships.
        data: a folder of `train.jsonl`, which is played back, and `valid.jsonl`, on which old and new are compared.
            None: what the scorer remembers is, where it remembers anything.
        always: write it although it is worse.

    Raises:
        ModelFolderError, TrainingError: something cannot be read.
    """
    folder = scorer or BUNDLED
    learned = read_corrections(corrections)
    old, new = _open(folder), _open(folder)
    memory = recall(folder, old)
    replayed, thinned = (memory.replayed, KEPT) if memory else (None, 1)
    if data:
        rows = _sample(read_rows(data / "train.jsonl"), REPLAYED)
        replayed, thinned = trace(old, rows.texts, rows.spam), 1
    change = _learned(old, learned, replayed)
    apply(new, change)
    if replayed is not None:
        hashed = hashed_part(new)
        found_in = [features(text, hashed.bits) for text in learned.texts]
        hashed.known = taught(hashed.known, found_in, learned.spam, replayed, thinned)
    held = read_rows(data / "valid.jsonl") if data else None
    aged = Memory(moved(old, memory.replayed, change), moved(old, memory.benchmark, change)) if memory else None
    if held is not None:
        others = _on_texts(old, new, held)
    elif memory and aged:
        others = _on_memory(old, memory.benchmark, aged.benchmark)
    else:
        others = (0, 0.0, 0.0)
    found = _compare(old, new, learned, others, always)
    if found.adopted:
        table = _new_thresholds(new, held) if held is not None else None
        write_successor(new, folder, out, thresholds=table, memory=aged, record=asdict(found), sentence=found.sentence)
    return found


def recall(folder: Path, scorer: Scorer) -> Memory | None:
    """What `scorer`, which is in `folder`, remembers; None: it was made without a memory.

    Raises:
        ModelFolderError: the memory is damaged, or another scorer's.
    """
    memory = read_memory(folder)
    if memory is None:
        return None
    width = scorer.network.head.shape[1] if isinstance(scorer, StackedScorer) else 0
    for part in (memory.replayed, memory.benchmark):
        if part.pooled.shape[1] != width or part.columns.max(initial=0) >= len(hashed_part(scorer).weights):
            raise ModelFolderError(f"{folder / FILE} is the memory of another spam scorer. Install homespun again.")
    return memory


def _open(folder: Path) -> Scorer:
    judge = load_judge(folder)
    assert isinstance(judge, StackedScorer | HashedScorer)
    return judge


def _learned(scorer: Scorer, learned: Rows, replayed: Traces | None) -> Change:
    """What the corrections change, with old mail, if there is any, played back."""
    traces = trace(scorer, learned.texts, learned.spam)
    new = np.ones(len(traces))
    if replayed is None:
        return learn(scorer, traces, WEIGHT * new, SPRING_ALONE)
    old = np.ones(len(replayed))
    counts, held = np.append(WEIGHT * new, old), np.append(0 * new, HELD * old)
    return learn(scorer, joined(traces, replayed), counts, SPRING, held)


def _sample(rows: Rows, most: int) -> Rows:
    if len(rows.texts) <= most:
        return rows
    return rows.take(np.random.default_rng(1).permutation(len(rows.texts))[:most])


def _on_texts(old: Scorer, new: Scorer, held: Rows) -> tuple[int, float, float]:
    """How many mails are compared on, and the share that each of the two judges right."""
    before, after = (measure(scorer.probabilities(held.texts), held.spam).accuracy for scorer in (old, new))
    return len(held.texts), before, after


def _on_memory(scorer: Scorer, old: Traces, new: Traces) -> tuple[int, float, float]:
    """The same of mails that are remembered, by their log-odds before and after; see `thinned` for how true it is."""
    before, after = (float(((margins_of(scorer, part) >= 0) == part.spam).mean()) for part in (old, new))
    return len(old), before, after


def _new_thresholds(scorer: Scorer, held: Rows) -> list[list[float]] | None:
    """Measured anew; None where there is too little honest mail to do so."""
    places = np.flatnonzero(~held.spam)
    if len(places) < FEWEST_HAM:
        return None
    return thresholds(scorer.probabilities([held.texts[i] for i in places]), [held.sources[i] for i in places])


def _right(scorer: Scorer, learned: Rows) -> tuple[int, int]:
    """How many corrections are on the right side of one half, and how many get their label for an answer."""
    probabilities = scorer.probabilities(learned.texts)
    threshold = threshold_for(DEFAULT_FALSE_ALARMS, scorer.config["thresholds"])
    answers = np.array([decide(each, threshold) for each in probabilities.tolist()])
    labels = np.where(learned.spam, "spam", "not spam")
    return int(((probabilities >= 0.5) == learned.spam).sum()), int((answers == labels).sum())


def _compare(
    old: Scorer, new: Scorer, learned: Rows, others: tuple[int, float, float], always: bool
) -> Comparison:  # fmt: skip
    count, share_before, share_after = others
    (before, plain_before), (after, plain_after) = (_right(scorer, learned) for scorer in (old, new))
    told = f"Of {len(learned.texts)} corrections {before} were right before and {after} are now"
    told += f" ({plain_before} and {plain_after} without being unsure)."
    if count:
        told += f" On {count:,} other mails: {share_before:.2%} before, {share_after:.2%} now."
    else:
        told += " There was no old mail to compare on."
    counts = len(learned.texts), before, after, plain_before, plain_after, count
    found = Comparison(*counts, share_before, share_after, True, told)
    adopted = always or not found.worse
    told += " The new scorer is kept." if adopted else " That is worse: the old scorer stays."
    return replace(found, adopted=adopted, sentence=told)
