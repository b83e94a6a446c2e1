"""What is measured of a spam scorer: accuracy, spam caught at few false alarms, calibration. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FALSE_ALARMS = 0.001
BINS = 15
TAIL = 0.1  # the share of honest mails that a tail is fitted on
ENOUGH_IN_TAIL, COUNTED = 20, 10  # mails that this has to be; and mails above a threshold that are enough to count


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


def expected_threshold(ham: np.ndarray, rate: float) -> float:
    """The probability that a share `rate` of honest mail will reach, judging by those `ham` [N] of some. Where too few
    would reach it to be counted, log-odds above that of the TAIL most like spam are taken for exponential (peaks over
    threshold: Pickands 1975, with shape 0), since of some hundred mails the highest alone, which stands for 0.1 %, is
    chance. A rate of 0 is the highest seen, or the threshold of one in N where that is higher."""
    tail = int(TAIL * len(ham))
    if tail < ENOUGH_IN_TAIL or rate * len(ham) >= COUNTED:
        return threshold_at(ham, rate)
    clipped = np.sort(ham).astype(np.float64).clip(1e-12, 1 - 1e-12)[-tail - 1 :]
    log_odds = np.log(clipped / (1 - clipped))
    excess = log_odds[1:] - log_odds[0]
    level = log_odds[0] + excess.mean() * np.log(TAIL / max(rate, 1 / len(ham)))
    found = float(1 / (1 + np.exp(-level)))
    return max(found, threshold_at(ham, 0.0)) if rate == 0 else found


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
