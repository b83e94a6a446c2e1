"""What is measured of a spam scorer: accuracy, spam caught at few false alarms, calibration. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 0.001
BINS = 15


@dataclass(frozen=True)
class Measures:
    accuracy: float  # share that is right when 0.5 decides
    caught: float  # share of spam above the threshold that at most FALSE_ALARMS of honest mail reaches
    calibration: float  # expected calibration error over 15 bins
    threshold: float
    spam: int  # how many of each were measured
    ham: int


def measure(probabilities: np.ndarray, spam: np.ndarray) -> Measures:
    """`probabilities` [N] that each is spam, and whether it is, [N] bool; both kinds must occur."""
    threshold = threshold_at(probabilities[~spam], FALSE_ALARMS)
    return Measures(
        accuracy=float(((probabilities >= 0.5) == spam).mean()),
        caught=float((probabilities[spam] >= threshold).mean()),
        calibration=calibration_error(probabilities, spam),
        threshold=threshold,
        spam=int(spam.sum()),
        ham=int((~spam).sum()),
    )


def threshold_at(ham: np.ndarray, rate: float) -> float:
    """The lowest probability that at most a share `rate` of the honest mails' probabilities `ham` reaches."""
    if not len(ham):
        return 1.0
    allowed = int(rate * len(ham) + 1e-9)
    return float(np.nextafter(np.sort(ham)[::-1][min(allowed, len(ham) - 1)], 2.0))


def calibration_error(probabilities: np.ndarray, spam: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015) of the label that is likelier, in `bins` equal bins."""
    confidence = np.maximum(probabilities, 1 - probabilities)
    right = (probabilities >= 0.5) == spam
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for place in np.unique(places):
        here = places == place
        total += here.mean() * abs(right[here].mean() - confidence[here].mean())
    return float(total)
