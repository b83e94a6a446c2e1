"""Report, curves and calibration: worked examples always, scikit-learn's numbers where it is installed (extra eval)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from training.evaluation.calibration import (
    brier,
    calibration_report,
    expected_error,
    largest_error,
    log_loss,
    reliability,
    softmax,
    temperature_of,
)
from training.evaluation.classification import precision_recall_curve, report, roc_curve
from training.evaluation.labelled import POINTS, measure


@pytest.fixture
def answers() -> tuple[Any, Any, Any]:
    """(true, predicted, probabilities) of 400 texts with three uneven labels; scores have ties."""
    numbers = np.random.default_rng(0)
    true = numbers.choice(3, 400, p=[0.6, 0.3, 0.1])
    logits = numbers.normal(size=(400, 3)) + 1.5 * np.eye(3)[true]
    shares = softmax(logits.round(1))
    return true, shares.argmax(1), shares


def test_a_worked_example() -> None:
    """Ten mails: 4 spam, of which 3 are found, with 1 false alarm."""
    true = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    said = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0])
    made = report(true, said, ("ham", "spam"))
    assert made["labels"]["spam"] == {"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4}
    assert made["labels"]["ham"]["precision"] == pytest.approx(5 / 6)
    assert made["accuracy"] == 0.8
    assert made["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert made["matthews"] == pytest.approx((3 * 5 - 1 * 1) / np.sqrt(4 * 4 * 6 * 6))
    assert made["confusion"] == [[5, 1], [1, 3]]


def test_labels_that_never_occur_are_zero_and_no_error() -> None:
    made = report(np.array([0, 0]), np.array([0, 0]), ("a", "b"))
    assert made["labels"]["b"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert made["balanced_accuracy"] == 1.0
    assert made["matthews"] == 0.0
    assert roc_curve(np.array([True, True]), np.array([0.2, 0.8])).area == 0.0


def test_curves_of_a_worked_example() -> None:
    """Fawcett's point: the area is how often a random yes scores above a random no, ties counting half."""
    positive, scores = np.array([True, True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.4, 0.1])
    curve = roc_curve(positive, scores)
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[positive] for n in scores[~positive]]
    assert curve.area == pytest.approx(np.mean(pairs))
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    recall = precision_recall_curve(positive, scores)
    assert recall.x.tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert recall.y.tolist() == pytest.approx([1, 2 / 3, 3 / 4, 3 / 5])
    assert recall.area == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4)


def test_calibration_of_a_worked_example() -> None:
    """Four answers at 0.9, three right; four at 0.6, three right: (|0.75 − 0.9| + |0.75 − 0.6|) / 2."""
    shares = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 4)
    true = np.array([0, 0, 0, 1, 0, 0, 0, 1])
    bins = reliability(shares, true)
    assert len(bins) == 15
    assert [b.count for b in bins if b.count] == [4, 4]
    assert expected_error(bins) == pytest.approx(0.15)
    assert largest_error(bins) == pytest.approx(0.15)
    assert brier(shares, true) == pytest.approx(np.mean([0.02] * 3 + [1.62] + [0.32] * 3 + [0.72]))
    assert log_loss(shares, true) == pytest.approx(-np.mean(np.log([0.9] * 3 + [0.1] + [0.6] * 3 + [0.4])))


def test_temperature_scaling_finds_what_was_done_to_honest_logits() -> None:
    """Labels drawn from softmax(logits): three times the logits need the temperature 3."""
    numbers = np.random.default_rng(0)
    logits = numbers.normal(size=(20_000, 4)) * 2
    shares = softmax(logits)
    true = (shares.cumsum(1) > numbers.random((20_000, 1))).argmax(1)
    assert temperature_of(3 * logits, true) == pytest.approx(3, rel=0.05)
    made = calibration_report(softmax(3 * logits), true)
    assert made["expected_error"] > 0.1
    assert made["scaled"]["expected_error"] < 0.02
    assert made["scaled"]["log_loss"] < made["log_loss"]


def test_the_same_as_scikit_learn(answers: tuple[Any, Any, Any]) -> None:
    theirs = pytest.importorskip("sklearn.metrics", reason="comes with the extra eval")
    true, said, shares = answers
    made, expected = report(true, said, "abc"), theirs.classification_report(true, said, output_dict=True)
    for index, label in enumerate("abc"):
        row = expected[str(index)]
        ours = made["labels"][label]
        assert list(ours.values()) == pytest.approx([row[k] for k in ("precision", "recall", "f1-score", "support")])
    for mean in ("macro", "weighted"):
        row = expected[f"{mean} avg"]
        assert list(made[mean].values()) == pytest.approx([row[k] for k in ("precision", "recall", "f1-score")])
    assert made["accuracy"] == pytest.approx(theirs.accuracy_score(true, said))
    assert made["balanced_accuracy"] == pytest.approx(theirs.balanced_accuracy_score(true, said))
    assert made["matthews"] == pytest.approx(theirs.matthews_corrcoef(true, said))
    assert log_loss(shares, true) == pytest.approx(theirs.log_loss(true, shares))
    for index in range(3):
        positive, scores = true == index, shares[:, index]
        assert roc_curve(positive, scores).area == pytest.approx(theirs.roc_auc_score(positive, scores))
        x, y, _ = theirs.roc_curve(positive, scores, drop_intermediate=False)
        assert roc_curve(positive, scores).x == pytest.approx(x)
        assert roc_curve(positive, scores).y == pytest.approx(y)
        area = theirs.average_precision_score(positive, scores)
        assert precision_recall_curve(positive, scores).area == pytest.approx(area)


def test_the_whole_report_is_plain_and_small(answers: tuple[Any, Any, Any]) -> None:
    import json

    true, _, shares = answers
    made = measure(torch.from_numpy(np.tile(shares, (20, 1))), np.tile(true, 20), ("a", "b", "c"))
    assert len(made["curves"]["a"]["roc"]["x"]) <= POINTS
    assert made["report"]["count"] == 8000
    assert len(json.dumps(made)) < 60_000
