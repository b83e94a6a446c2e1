"""How good a classifier's answers are: report, confusion, precision–recall and ROC curves. NumPy only.

How honest its probabilities are is `calibration.py`; drawing is `plots.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def confusion(true: Array, predicted: Array, labels: int) -> Array:
    """[labels, labels]: how often the label of the row was said to be that of the column."""
    table = np.zeros((labels, labels), np.int64)
    np.add.at(table, (true, predicted), 1)
    return table


def report(true: Array, predicted: Array, labels: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1 and support of each label; their means (macro: labels alike; weighted: by support);
    accuracy, balanced accuracy and Matthews' correlation for several labels (Gorodkin 2004).

    A ratio with nothing below the line is 0, as scikit-learn has it.
    """
    table = confusion(true, predicted, len(labels))
    right, said, there = table.diagonal().astype(float), table.sum(0), table.sum(1)
    precision, recall = _ratio(right, said), _ratio(right, there)
    f1 = _ratio(2 * precision * recall, precision + recall)
    total = max(int(there.sum()), 1)
    rows = {
        label: {"precision": precision[i], "recall": recall[i], "f1": f1[i], "support": int(there[i])}
        for i, label in enumerate(labels)
    }
    measures = {"precision": precision, "recall": recall, "f1": f1}
    occurring = there > 0
    return {
        "labels": {label: _plain(row) for label, row in rows.items()},
        "macro": {name: float(values.mean()) for name, values in measures.items()},
        "weighted": {name: float((values * there).sum() / total) for name, values in measures.items()},
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": float(recall[occurring].mean()) if occurring.any() else 0.0,
        "matthews": _matthews(table),
        "confusion": table.tolist(),
        "count": int(there.sum()),
    }


def _plain(row: dict[str, Any]) -> dict[str, float | int]:
    return {key: value if isinstance(value, int) else float(value) for key, value in row.items()}


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(len(above)), where=np.asarray(below) > 0)


def _matthews(table: Array) -> float:
    """Correlation between what is and what was said, −1 … 1."""
    counts = table.astype(float)
    total, right = counts.sum(), counts.trace()
    said, there = counts.sum(0), counts.sum(1)
    spread = (total**2 - (said**2).sum()) * (total**2 - (there**2).sum())
    return float((right * total - (said * there).sum()) / np.sqrt(spread)) if spread > 0 else 0.0


@dataclass(frozen=True)
class Curve:
    """Points of a curve, in the order of falling thresholds, and the area under it."""

    x: Array
    y: Array
    thresholds: Array
    area: float


def roc_curve(positive: Array, scores: Array) -> Curve:
    """False-positive rate (x) against recall (y) of saying yes above each score; the area is what two random texts,
    one of each kind, are put in the right order with (ties count half). Undefined, so 0, with one kind only.
    """
    hits, misses, thresholds = _cumulated(positive, scores)
    if not hits[-1] or not misses[-1]:
        return Curve(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([np.inf, 0.0]), 0.0)
    x = np.concatenate(([0.0], misses / misses[-1]))
    y = np.concatenate(([0.0], hits / hits[-1]))
    return Curve(x, y, np.concatenate(([np.inf], thresholds)), float(np.trapezoid(y, x)))


def precision_recall_curve(positive: Array, scores: Array) -> Curve:
    """Recall (x) against precision (y) of saying yes above each score. The area is average precision, the sum of
    precision times gain in recall, which never interpolates between points that cannot be reached.
    """
    hits, misses, thresholds = _cumulated(positive, scores)
    recall = hits / max(hits[-1], 1)
    precision = hits / (hits + misses)
    gains = np.diff(np.concatenate(([0.0], recall)))
    return Curve(recall, precision, thresholds, float((gains * precision).sum()))


def _cumulated(positive: Array, scores: Array) -> tuple[Array, Array, Array]:
    """(right yes, wrong yes, threshold) at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, truth = scores[order], positive[order].astype(float)
    last = np.concatenate((np.flatnonzero(np.diff(sorted_scores)), [len(scores) - 1]))
    return truth.cumsum()[last], (1 - truth).cumsum()[last], sorted_scores[last]
