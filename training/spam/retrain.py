"""Learning from corrections: `python -m training spam retrain`. Yesterday's scorer and what it was told → a new one.

Owns what is learned from (corrections, old mail played back), the comparison before the new scorer is written, and its
folder. Both scorers' linear layers are refitted from where they are (`refit.py`); the network's blocks stay.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from engine.email_text.normalise import normalise
from engine.run.classifier import HEAD
from engine.spam.features import features
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.loading import load_judge
from engine.spam.stacked_scorer import CLASSICAL, NEURAL, StackedScorer, ends
from training.errors import TrainingError
from training.spam.fitting import Rows
from training.spam.measures import measure
from training.spam.refit import refit
from training.spam.stacking import read_rows, thresholds

REPLAYED = 3000  # old mails that are played back
WEIGHT = 4.0  # a correction counts as much as so many of them
SPRING = 0.05  # how much is held to the old weights when old mail is played back
SPRING_ALONE = 1.0  # and when it is not
MOST_LOST = 0.003  # of the benchmark's accuracy
FEWEST_HAM = 1000  # honest mails from which on new thresholds are measured

Scorer = StackedScorer | HashedScorer


@dataclass(frozen=True)
class Comparison:
    """The old scorer and the new one, on the corrections and on old mail that neither was trained on."""

    corrections: int
    right_before: int
    right_after: int
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
    return _rows(texts, np.array(spam), [""] * len(texts))


def _rows(texts: list[str], spam: np.ndarray, sources: list[str]) -> Rows:
    count = len(texts)
    return Rows(texts, spam, sources, np.zeros(count, int), np.ones(count), np.full(count, "plain"))


def retrain(
    scorer: Path | None, corrections: Path, data: Path | None, out: Path, *, always: bool = False
) -> Comparison:
    """Learn from `corrections` and write the new scorer into `out`, unless it is worse.

    Args:
        scorer: the folder to start from; None: the one that ships.
        data: a folder of `train.jsonl`, which is played back, and `valid.jsonl`, on which old and new are compared.
        always: write it although it is worse.

    Raises:
        ModelFolderError, TrainingError: something cannot be read.
    """
    learned = read_corrections(corrections)
    old, new = _open(scorer), _open(scorer)
    replay = _sample(read_rows(data / "train.jsonl"), REPLAYED) if data else _rows([], np.zeros(0, bool), [])
    held = read_rows(data / "valid.jsonl") if data else None
    texts = [*learned.texts, *replay.texts]
    spam = np.concatenate([learned.spam, replay.spam])
    counts = np.array([WEIGHT] * len(learned.texts) + [1.0] * len(replay.texts))
    spring = SPRING if data else SPRING_ALONE
    head = None
    if isinstance(new, StackedScorer):
        _refit_hashed(new.classical, texts, spam, counts, spring)
        head = _refit_head(new, texts, spam, counts, spring)
    else:
        _refit_hashed(new, texts, spam, counts, spring)
    found = _compare(old, new, learned, held, always)
    if found.adopted:
        write_new(new, _folder(scorer), out, head, _new_thresholds(new, held) if held else None, found)
    return found


def _new_thresholds(scorer: Scorer, held: Rows) -> list[list[float]] | None:
    """Measured anew; None where there is too little honest mail to do so."""
    places = np.flatnonzero(~held.spam)
    if len(places) < FEWEST_HAM:
        return None
    return thresholds(scorer.probabilities([held.texts[i] for i in places]), [held.sources[i] for i in places])


def _open(folder: Path | None) -> Scorer:
    judge = load_judge(folder)
    assert isinstance(judge, StackedScorer | HashedScorer)
    return judge


def _folder(folder: Path | None) -> Path:
    from engine.spam.loading import BUNDLED

    return folder or BUNDLED


def _sample(rows: Rows, most: int) -> Rows:
    if len(rows.texts) <= most:
        return rows
    return rows.take(np.random.default_rng(1).permutation(len(rows.texts))[:most])


def _refit_hashed(
    scorer: HashedScorer, texts: list[str], spam: np.ndarray, counts: np.ndarray, spring: float
) -> None:  # fmt: skip
    """Move `scorer`'s weights, in place. Every view is taken to move as the whole text does: its passages are of it."""
    places, columns, values = [], [], []
    share = float(scorer.mix.sum())
    for index, text in enumerate(texts):
        found = features(text, scorer.bits)
        columns.append(found.columns.astype(np.int64))
        values.append(share * found.values)
        places.append(np.full(len(found.values), index, dtype=np.int64))
    used, compact = np.unique(np.concatenate(columns), return_inverse=True)  # the others would not move
    indices = torch.from_numpy(np.stack([np.concatenate(places), compact.reshape(-1)]))
    shape = (len(texts), len(used))
    rows = torch.sparse_coo_tensor(
        indices, torch.from_numpy(np.concatenate(values)).float(), shape, check_invariants=False
    )
    scorer.weights[used] += refit(rows, scorer.margins(texts), spam, counts, spring)


def _refit_head(
    scorer: StackedScorer, texts: list[str], spam: np.ndarray, counts: np.ndarray, spring: float
) -> torch.Tensor:
    """Move the network's head, in place; the new head [labels, C]."""
    network = scorer.network
    rows = network.pooled([ends(text) for text in texts]).cpu() / network.config.temperature
    old = scorer.members(texts)[:, 0]
    size = float(rows.square().sum(1).mean())  # so that the spring is as stiff as for rows of length 1
    change = torch.from_numpy(refit(rows, old, spam, counts, spring * size))
    head = network.head.clone()
    place = network.labels.index("spam")
    head += torch.stack([change / 2 if row == place else -change / 2 for row in range(len(head))])
    network.head = head
    return head


def _compare(old: Scorer, new: Scorer, learned: Rows, held: Rows | None, always: bool) -> Comparison:
    def right(scorer: Scorer) -> int:
        return int(((scorer.probabilities(learned.texts) >= 0.5) == learned.spam).sum())

    before, after = right(old), right(new)
    accuracy = [measure(s.probabilities(held.texts), held.spam).accuracy if held else 0.0 for s in (old, new)]
    count = len(held.texts) if held else 0
    worse = after < before or accuracy[1] < accuracy[0] - MOST_LOST
    told = f"Of {len(learned.texts)} corrections {before} were right before and {after} are now."
    if count:
        told += f" On {count:,} other mails: {accuracy[0]:.2%} before, {accuracy[1]:.2%} now."
    else:
        told += " There was no old mail to compare on."
    adopted = always or not worse
    told += " The new scorer is kept." if adopted else " That is worse: the old scorer stays."
    return Comparison(len(learned.texts), before, after, count, accuracy[0], accuracy[1], adopted, told)


def write_new(
    scorer: Scorer, old: Path, out: Path, head: torch.Tensor | None, table: list[list[float]] | None, found: Comparison
) -> None:
    """The folder of `scorer`, made from a copy of `old`'s: whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        shutil.copytree(old, temporary, dirs_exist_ok=True)
        hashed, folder = (scorer.classical, temporary / CLASSICAL) if head is not None else (scorer, temporary)  # type: ignore[union-attr]
        _replace(folder / "model.safetensors", "weights", torch.from_numpy(hashed.weights))
        if head is not None:
            _replace(temporary / NEURAL / "model.safetensors", HEAD, head)
        config = json.loads((temporary / "config.json").read_text(encoding="utf-8"))
        if table:
            config["thresholds"] = table
        training: dict[str, Any] = json.loads((temporary / "training.json").read_text(encoding="utf-8"))
        training |= {"name": out.name, "parent": old.name, "retrained": asdict(found)}
        for name, data in (("config.json", config), ("training.json", training)):
            (temporary / name).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        card = (temporary / "README.md").read_text(encoding="utf-8").rstrip()
        told = f"{card}\n\n## Learned since\n\n{found.sentence} The numbers above are those of {old.name}.\n"
        (temporary / "README.md").write_text(told, encoding="utf-8")
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Put `tensor` in the place of the one called `name`, in that one's precision."""
    tensors = load_file(path)
    tensors[name] = tensor.to(tensors[name].dtype).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
