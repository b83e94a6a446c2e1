"""Evaluating a classifier on texts whose labels are known: report, curves, calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from engine.run.classifier import TextClassifier
from training.data.tables import read_table
from training.errors import TrainingError
from training.evaluation.calibration import calibration_report
from training.evaluation.classification import Curve, precision_recall_curve, report, roc_curve

POINTS = 200  # of a curve that are kept: as many as can be seen


def evaluate_classifier(
    classifier: TextClassifier, file: Path, text: str = "text", label: str = "label"
) -> dict[str, Any]:
    """What `classifier` makes of the rows of `file` (.jsonl, .csv or .tsv with the columns `text` and `label`).

    Raises:
        TrainingError: the file cannot be read, or has a label that the model does not know.
    """
    rows = list(read_table(file.parent, file.name, [text, label], str(file)))
    known = {name: index for index, name in enumerate(classifier.labels)}
    if strange := sorted({str(row[label]) for row in rows} - known.keys()):
        raise TrainingError(
            f"{file} has the label {strange[0]!r}, which the model does not know; it tells {', '.join(known)} apart."
        )
    true = np.array([known[str(row[label])] for row in rows])
    return measure(classifier.probabilities([str(row[text]) for row in rows]), true, classifier.labels)


def measure(probabilities: Tensor, true: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    """The whole report for `probabilities` [N, labels] and `true` [N]."""
    shares = probabilities.double().numpy()
    curves = {}
    for index, name in enumerate(labels):
        positive = true == index
        curves[name] = {
            "roc": _points(roc_curve(positive, shares[:, index])),
            "precision_recall": _points(precision_recall_curve(positive, shares[:, index])),
        }
    return {
        "report": report(true, shares.argmax(1), labels),
        "curves": curves,
        "calibration": calibration_report(shares, true),
    }


def _points(curve: Curve) -> dict[str, Any]:
    """The curve thinned to POINTS points; its area is of all."""
    keep = np.unique(np.linspace(0, len(curve.x) - 1, min(POINTS, len(curve.x))).round().astype(int))
    return {"area": curve.area, "x": curve.x[keep].round(5).tolist(), "y": curve.y[keep].round(5).tolist()}
