"""How honest probabilities are: reliability, expected calibration error, Brier score, temperature scaling.

After Guo et al. 2017, "On Calibration of Modern Neural Networks"; 15 bins of equal width, as there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.run.classifier import fit_temperature

Array = NDArray[Any]
BINS = 15


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence lies in one interval (low, high]."""

    low: float
    high: float
    count: int
    confidence: float  # their mean; 0 without any
    accuracy: float  # share that was right; 0 without any


def reliability(probabilities: Array, true: Array, bins: int = BINS) -> list[Bin]:
    """Answers by confidence: `probabilities` [N, labels], `true` [N]. The answer is the likeliest label."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == true
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    result = []
    for index in range(bins):
        inside = place == index
        count = int(inside.sum())
        means = (float(confidence[inside].mean()), float(right[inside].mean())) if count else (0.0, 0.0)
        result.append(Bin(index / bins, (index + 1) / bins, count, *means))
    return result


def expected_error(bins: list[Bin]) -> float:
    """ECE: the mean distance between confidence and accuracy, bins by their counts."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.accuracy - b.confidence) for b in bins) / max(total, 1)


def largest_error(bins: list[Bin]) -> float:
    """MCE: the distance in the worst bin."""
    return max((abs(b.accuracy - b.confidence) for b in bins if b.count), default=0.0)


def brier(probabilities: Array, true: Array) -> float:
    """Mean squared distance from the truth, summed over labels: 0 is best, 2 worst (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[true]
    return float(((probabilities - truth) ** 2).sum(1).mean()) if len(true) else 0.0


def log_loss(probabilities: Array, true: Array) -> float:
    """Cross-entropy in nats."""
    chosen = probabilities[np.arange(len(true)), true]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean()) if len(true) else 0.0


def calibration_report(probabilities: Array, true: Array) -> dict[str, Any]:
    """All of the above, before and after a temperature that is fitted on one half and measured on the other.

    The two halves take turns, so that no answer is measured with a temperature that has seen it; `temperature` is the
    one that all together give.
    """
    logits = np.log(np.maximum(probabilities, 1e-12))
    scaled = np.empty_like(probabilities)
    halves = (np.arange(len(true)) % 2 == 0, np.arange(len(true)) % 2 == 1)
    for own, other in (halves, halves[::-1]):
        temperature = temperature_of(logits[other], true[other]) if other.any() else 1.0
        scaled[own] = softmax(logits[own] / temperature)
    return {
        **_numbers(probabilities, true),
        "temperature": temperature_of(logits, true) if len(true) else 1.0,
        "scaled": _numbers(scaled, true),
    }


def _numbers(probabilities: Array, true: Array) -> dict[str, Any]:
    bins = reliability(probabilities, true)
    return {
        "expected_error": expected_error(bins),
        "largest_error": largest_error(bins),
        "brier": brier(probabilities, true),
        "log_loss": log_loss(probabilities, true),
        "bins": [asdict(b) for b in bins],
    }


def temperature_of(logits: Array, true: Array) -> float:
    """The temperature with the least cross-entropy, for logits [N, labels] and true [N]."""
    return fit_temperature(
        torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(np.asarray(true, np.int64))
    )


def softmax(logits: Array) -> Array:
    """Along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
