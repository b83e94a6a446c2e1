"""HashedScorer: the classical spam scorer. Hashed features (`features.py`), weighed by logistic regression.

Owns the weights, the views of a mail (the whole of it, and its halves, so that honest text beside spam hides little),
their sum, what is added where the halves contradict each other and where a mail is known spam (`known.py`), and the
folder. Numpy only. It is made by `training/spam/fitting.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.spam.features import VERSION, Features, Reading, features_of, part_of, read
from engine.spam.judge import (
    DEFAULT_FALSE_ALARMS,
    MOST_EVIDENCE,
    Evidence,
    SpamJudge,
    check_version,
    threshold_for,
)
from engine.spam.known import NOTHING, Known, familiar, from_tensors
from engine.spam.occlusion import occlude

ARCHITECTURE = "hashed-linear"
VIEWS = ("whole", "beginning", "middle", "end")
SHORT = 200  # characters; a shorter text has no halves
TOGETHER = 10_000  # characters of texts whose features are sorted at once: what stays in the second cache
# Log-odds by which the beginning has to be more like spam than the end, the middle than both, and the end than the
# beginning (as it often is of honest mail with an advertisement at its foot), unless a scorer's config says otherwise.
GAPS = (4.0, 2.0, 8.0)


class HashedScorer(SpamJudge):
    """Judges by hashed words, pairs, letter groups and observations."""

    kind: Literal["classical", "neural"] = "classical"

    def __init__(self, name: str, weights: np.ndarray, config: dict[str, Any], known: Known = NOTHING) -> None:
        """`weights`: [2**bits]; `config`: bits, bias, `views` (a weight for each of VIEWS), offset, thresholds, and
        perhaps `gap`, the weight of the `gaps` above `gaps_from`, and `known`, that of spam which is `known`.
        Raises KeyError, TypeError or ValueError when something is missing or does not fit."""
        self.name, self.config, self.known = name, config, known
        self.bits = int(config["bits"])
        self.weights = weights.astype(np.float32)
        self.bias, self.offset = float(config["bias"]), float(config["offset"])
        self.mix = np.array([float(config["views"][view]) for view in VIEWS])
        self.gap, self.bonus = float(config.get("gap", 0.0)), float(config.get("known", 0.0))
        self.gaps_from = tuple(float(least) for least in config.get("gaps_from", GAPS))
        if len(self.gaps_from) != len(GAPS):
            raise ValueError(f"{len(self.gaps_from)} gaps between halves, where there are {len(GAPS)}")

    @classmethod
    def load(cls, folder: Path) -> HashedScorer:
        """The scorer in `folder`.

        Raises:
            ModelFolderError: damaged, or made for another normaliser or other features.
        """
        config = read_json(folder / "config.json")
        check_version(config, folder)
        views = config.get("views")
        if config.get("features_version") != VERSION or (isinstance(views, dict) and views.keys() != {*VIEWS}):
            raise ModelFolderError(
                f"The spam scorer {folder} was made by an earlier homespun, which read other features of a mail. Let "
                "the one that comes with homespun learn from your corrections again."
            )
        try:
            tensors = load_file(folder / "model.safetensors")
            scorer = cls(folder.name, tensors["weights"], config, from_tensors(tensors))
            if len(scorer.weights) != 2**scorer.bits:
                raise ValueError("the columns do not fit")
            threshold_for(DEFAULT_FALSE_ALARMS, config["thresholds"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFolderError(f"The spam scorer {folder} is damaged ({error}). Install homespun again.") from error
        return scorer

    def views(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, VIEWS + 1], float64: log-odds of each text as a whole, and of its halves; and how certainly it is
        known spam, 0 … 1."""
        found = [self._seen(parts) for parts in parts_of(texts, self.bits)]
        return np.array(found, dtype=np.float64).reshape(len(texts), len(VIEWS) + 1)

    def _seen(self, parts: Sequence[Features]) -> list[float]:
        margins = [float(self.weights[part.columns] @ part.values) + self.bias for part in parts]
        return [*margins, familiar(self.known.share(parts[0].columns))]

    def margins(self, texts: Sequence[str]) -> np.ndarray:
        """[texts], float64: calibrated log-odds."""
        return self.mixed(self.views(texts))

    def mixed(self, views: np.ndarray) -> np.ndarray:
        """[texts]: calibrated log-odds of `views` [texts, VIEWS + 1]."""
        margins = views[:, : len(VIEWS)]
        return margins @ self.mix + self.gap * gaps(margins, self.gaps_from) + self.bonus * views[:, -1] + self.offset

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts]: how likely each is spam, calibrated (Platt 1999)."""
        return 1 / (1 + np.exp(-self.margins(texts)))

    def evidence(self, text: str) -> tuple[Evidence, ...]:
        """The passages without which the verdict would be another, by their log-odds; see `occlusion.py`."""
        return occlude(text, self.margins)[:MOST_EVIDENCE]


def parts_of(texts: Iterable[str], bits: int) -> Iterator[list[Features]]:
    """Of each text the features of all of it, of its first half, of the one in the middle, and of its last. A short
    text is its own half."""
    waiting: list[list[Reading]] = []
    size = 0
    for text in texts:
        waiting.append(_parts(read(text, bits)))
        size += waiting[-1][0].length
        if size >= TOGETHER:
            yield from _features_of_parts(waiting)
            waiting, size = [], 0
    yield from _features_of_parts(waiting)


def _parts(reading: Reading) -> list[Reading]:
    length = reading.length
    if length < SHORT:
        return [reading]
    quarter, half = length // 4, length // 2
    spans = ((0, half), (quarter, quarter + half), (half, length))
    return [reading, *(part_of(reading, start, end) for start, end in spans)]


def _features_of_parts(waiting: Sequence[Sequence[Reading]]) -> Iterator[list[Features]]:
    found = iter(features_of([part for parts in waiting for part in parts]))
    for parts in waiting:
        some = list(islice(found, len(parts)))
        yield some if len(some) > 1 else some * len(VIEWS)


def gaps(views: np.ndarray, least: Sequence[float] = GAPS) -> np.ndarray:
    """[texts]: how much farther than `least` one half is from the others; 0 where none is. Honest mail is of one piece
    more often than spam that was padded with honest text.

    Args:
        views: [texts, VIEWS] or with more columns.
        least: for the beginning, the middle and the end.
    """
    beginning, middle, end = views[:, 1 : len(VIEWS)].T
    ahead = np.stack([beginning - end, middle - np.maximum(beginning, end), end - beginning], axis=1)
    return np.asarray(np.maximum((ahead - least).max(axis=1), 0.0))
