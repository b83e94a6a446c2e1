"""StackedScorer: the spam scorer that ships. A small network and the hashed scorer, whose log-odds are added up.

Owns the folder of the two (`neural/` a classifier's, `classical/` a hashed scorer's), the sum of their log-odds by
weights that were fitted on held-out mail (stacking, Wolpert 1992), and the evidence. They are `run/classifier.py` and
`hashed_scorer.py`; making it is `training/spam/stacking.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.run.classifier import TextClassifier
from engine.run.compiled.linear import compiles
from engine.run.device import Placement, choose
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.judge import (
    DEFAULT_FALSE_ALARMS,
    MOST_EVIDENCE,
    Evidence,
    SpamJudge,
    check_version,
    threshold_for,
)
from engine.spam.occlusion import occlude

NEURAL, CLASSICAL = "neural", "classical"  # folders of the two, and names of their weights
LONGEST_READ = 3000  # characters of a text's beginning that the network's tokenizer is given
CLEAR = 12.0  # log-odds of one scorer count at most so much


class StackedScorer(SpamJudge):
    """Judges by a network and the hashed scorer, their log-odds added up."""

    kind: Literal["classical", "neural"] = "neural"

    def __init__(self, name: str, network: TextClassifier, classical: HashedScorer, config: dict[str, Any]) -> None:
        """`config`: `stack` with a weight for each of the two, a `bias` and perhaps a `head_bias` (of the network's
        log-odds, whose head has none), and `thresholds`."""
        self.name, self.config = name, config
        self.network, self.classical = network, classical
        stack = config["stack"]
        self.weights = np.array([float(stack[NEURAL]), float(stack[CLASSICAL])])
        self.bias, self.head_bias = float(stack["bias"]), float(stack.get("head_bias", 0.0))

    @classmethod
    def load(cls, folder: Path) -> StackedScorer:
        """The scorer in `folder`.

        Raises:
            ModelFolderError: damaged, or made for another normaliser.
        """
        config = read_json(folder / "config.json")
        check_version(config, folder)
        classical, network = HashedScorer.load(folder / CLASSICAL), TextClassifier.load(folder / NEURAL, quickest())
        try:
            scorer = cls(folder.name, network, classical, config)
            threshold_for(DEFAULT_FALSE_ALARMS, config["thresholds"])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelFolderError(f"The spam scorer {folder} is damaged ({error}). Install homespun again.") from error
        return scorer

    def members(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, 2], float64: log-odds of the network and of the hashed scorer, each calibrated by itself."""
        if not texts:
            return np.empty((0, 2))
        neural = log_odds(self.network, texts) + self.head_bias
        return np.stack([neural, self.classical.margins(texts)], axis=1).clip(-CLEAR, CLEAR)

    def margins(self, texts: Sequence[str]) -> np.ndarray:
        """[texts], float64: log-odds of both together."""
        return self.members(texts) @ self.weights + self.bias

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """[texts]: how likely each is spam, calibrated."""
        return 1 / (1 + np.exp(-self.margins(texts)))

    def evidence(self, text: str) -> tuple[Evidence, ...]:
        """The passages without which the verdict would be another, by their log-odds; see `occlusion.py`."""
        return occlude(text, self.margins)[:MOST_EVIDENCE]


def quickest() -> Placement:
    """Where the network runs: in int8 where that is compiled, six times as quick as torch's fp32 and 0.03 from its
    log-odds (rms). Each mail is read alone then, and others beside it change nothing."""
    return choose("cpu", "int8" if compiles("int8") else "fp32")


def log_odds(network: TextClassifier, texts: Sequence[str]) -> np.ndarray:
    """[texts], float64: of the label "spam" by `network`, which is given both ends of a long text."""
    if not texts:
        return np.empty(0)
    logits = network.logits([beginning(text) for text in texts]).double().numpy() / network.config.temperature
    place = network.labels.index("spam")
    others = np.delete(logits, place, axis=1)
    most = others.max(axis=1)
    return np.asarray(logits[:, place] - most - np.log(np.exp(others - most[:, None]).sum(axis=1)))


def beginning(text: str) -> str:
    """`text` without what the network would not read in any case."""
    return text[:LONGEST_READ]
