"""HashedScorer: the classical spam scorer. Hashed features (`features.py`), weighed by logistic regression.

Owns the weights, the views of a mail (the whole of it, and its passages, so that honest text around spam hides little),
their sum, and the folder. Numpy only. It is made by `training/spam/fitting.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.spam.features import LETTERS, SCALE, VERSION, Reading, features_of, read
from engine.spam.judge import (
    DEFAULT_FALSE_ALARMS,
    MOST_EVIDENCE,
    Evidence,
    SpamJudge,
    check_version,
    threshold_for,
)
from engine.spam.occlusion import occlude

ARCHITECTURE = "hashed-linear"
PASSAGES = (300, 600, 1200)  # characters of the passages that are looked at one by one, each half over the next
VIEWS = ("whole", *(f"{which} of {size}" for size in PASSAGES for which in ("strongest", "mean")))


class HashedScorer(SpamJudge):
    """Judges by hashed words, pairs, letter groups and observations."""

    kind: Literal["classical", "neural"] = "classical"

    def __init__(self, name: str, weights: np.ndarray, config: dict[str, Any]) -> None:
        """`weights`: [2**bits]; `config`: bits, bias, `views` (a weight for each of VIEWS), offset, and thresholds."""
        self.name, self.config = name, config
        self.bits = int(config["bits"])
        self.weights = weights.astype(np.float32)
        self.bias, self.offset = float(config["bias"]), float(config["offset"])
        self.mix = np.array([float(config["views"][view]) for view in VIEWS])

    @classmethod
    def load(cls, folder: Path) -> HashedScorer:
        """The scorer in `folder`.

        Raises:
            ModelFolderError: damaged, or made for another normaliser or other features.
        """
        config = read_json(folder / "config.json")
        check_version(config, folder)
        if config.get("features_version") != VERSION:
            raise ModelFolderError(
                f"The spam scorer {folder} was made by an earlier homespun, which read other features of a mail. Let "
                "the one that comes with homespun learn from your corrections again."
            )
        try:
            scorer = cls(folder.name, load_file(folder / "model.safetensors")["weights"], config)
            if len(scorer.weights) != 2**scorer.bits:
                raise ValueError("the columns do not fit")
            threshold_for(DEFAULT_FALSE_ALARMS, config["thresholds"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFolderError(f"The spam scorer {folder} is damaged ({error}). Install homespun again.") from error
        return scorer

    def views(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, VIEWS], float64: log-odds of each text as a whole, and of its passages."""
        found = [self._views(read(text, self.bits)) for text in texts]
        return np.array(found, dtype=np.float64).reshape(len(texts), len(VIEWS))

    def _views(self, reading: Reading) -> list[float]:
        found = features_of(reading)
        whole = float(self.weights[found.columns] @ found.values) + self.bias
        result = [whole]
        sums = self._sums(reading) if reading.length > PASSAGES[0] else None
        for size in PASSAGES:
            if sums is None or reading.length <= size:  # it is its only passage
                result += [whole, whole]
                continue
            ends = np.arange(size, reading.length + size // 2, size // 2).clip(max=reading.length)
            margins = _passages(reading, *sums, ends - size, ends) + self.bias
            result += [float(margins.max()), float(margins.mean())]
        return result

    def _sums(self, reading: Reading) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of words and pairs, and of letter groups: the sum of the weights before each [N + 1]."""

        def before(columns: np.ndarray) -> np.ndarray:
            return np.concatenate([[0.0], np.cumsum(self.weights[columns], dtype=np.float64)])

        return [before(columns) for columns in reading.words], [before(columns) for columns in reading.letters]

    def margins(self, texts: Sequence[str]) -> np.ndarray:
        """[texts], float64: calibrated log-odds."""
        return self.views(texts) @ self.mix + self.offset

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts]: how likely each is spam, calibrated (Platt 1999)."""
        return 1 / (1 + np.exp(-self.margins(texts)))

    def evidence(self, text: str) -> tuple[Evidence, ...]:
        """The passages without which the verdict would be another, by their log-odds; see `occlusion.py`."""
        return occlude(text, self.margins)[:MOST_EVIDENCE]


def _passages(
    reading: Reading, words: list[np.ndarray], letters: list[np.ndarray], starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """[passages]: log-odds of each without a bias, every occurrence counted as if it were the only one of its kind.

    Args:
        words, letters: for each kind of feature the sum of the weights before each.
    """
    places = [(np.searchsorted(begin, starts), np.searchsorted(begin, ends)) for begin in reading.starts]
    margins = _mean_root(words, places)
    places = [(starts.clip(max=len(sums) - 1), ends.clip(max=len(sums) - 1)) for sums in letters]
    return SCALE * (margins + LETTERS * _mean_root(letters, places))


def _mean_root(groups: list[np.ndarray], places: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[passages]: the weights in each, added up, by the root of their number."""
    total = sum(before[last] - before[first] for before, (first, last) in zip(groups, places, strict=True))
    count = sum(last - first for first, last in places)
    return np.asarray(total / np.sqrt(np.maximum(count, 1)))
