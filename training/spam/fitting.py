"""Fits the hashed scorer: logistic regression on rows, cross-validated, and a mix of views that the folds are for.

Owns which rows a fold is kept from, the mix and calibration that are fitted on what was held out (stacking, Wolpert
1992), and the optimiser (L-BFGS, Liu and Nocedal 1989). The features are `engine/spam/features.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.spam.features import BITS, Features, features_of, read
from engine.spam.hashed_scorer import VIEWS, HashedScorer
from training.errors import TrainingError

C = 60.0  # how little weights are held down
STEPS = 40
FOLDS = 5
TOGETHER = 2  # folds that are held out at once
NO_MAIL = ("passage", "ordinary")  # kinds of rows that are no whole mails: nothing is measured on them


@dataclass(frozen=True)
class Rows:
    """Labelled texts of the normaliser."""

    texts: list[str]
    spam: np.ndarray  # [N] bool
    sources: list[str]
    folds: np.ndarray  # [N]: rows of one mail share a fold, and nothing of one fold is in another
    counts: np.ndarray  # [N]: how much each counts beside others of its source and label
    kinds: np.ndarray  # [N]: how each was made of its mail; see `prepare.py`

    def take(self, places: np.ndarray) -> Rows:
        """The rows at `places`, indices or bools."""
        where = np.flatnonzero(places) if places.dtype == bool else places
        texts, sources = [self.texts[i] for i in where], [self.sources[i] for i in where]
        return Rows(texts, self.spam[where], sources, self.folds[where], self.counts[where], self.kinds[where])


def joined(first: Rows, second: Rows) -> Rows:
    """Both, one after the other."""
    arrays = [
        np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("spam", "folds", "counts", "kinds")
    ]
    return Rows(first.texts + second.texts, arrays[0], first.sources + second.sources, *arrays[1:])


def weights_of(rows: Rows) -> np.ndarray:
    """[N]: how much each row counts. Spam as much as honest mail; within each, a source by the root of its size, so
    that a small one counts more than its size and less than a large one."""
    groups = list(zip(rows.sources, rows.spam.tolist(), strict=True))
    size = Counter(groups)
    weights = np.array([size[group] ** -0.5 for group in groups]) * rows.counts
    for label in (True, False):
        weights[rows.spam == label] *= len(groups) / (2 * weights[rows.spam == label].sum())
    return weights


class Matrix:
    """The features of many texts, as a sparse matrix with only the columns that occur twice or more."""

    def __init__(self, texts: Sequence[str], bits: int = BITS) -> None:
        from scipy.sparse import csr_matrix

        found: list[Features] = [features_of(read(text, bits)) for text in texts]
        columns = np.concatenate([each.columns for each in found])
        often = np.bincount(columns, minlength=2**bits) > 1
        self.used, self.bits = np.flatnonzero(often), bits
        compact = np.cumsum(often, dtype=np.int32) - 1
        values = np.concatenate([each.values for each in found])
        ends = np.cumsum([0, *(int(often[each.columns].sum()) for each in found)])
        kept = often[columns]
        self.rows = csr_matrix((values[kept], compact[columns[kept]], ends), shape=(len(texts), len(self.used)))

    def fit(self, places: np.ndarray, spam: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """(weights [2**bits], bias) of the rows at `places`, whose labels and own weights are [places]."""
        small, bias = regress(self.rows[places], spam, weights)
        whole = np.zeros(2**self.bits, dtype=np.float32)
        whole[self.used] = small
        return whole, bias


def regress(rows: Any, spam: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights [columns], bias) of logistic regression on sparse `rows` [N, columns]; `weights` [N] of the rows."""
    from scipy.optimize import minimize

    sign, columns, cost = np.where(spam, 1.0, -1.0), rows.shape[1], C * weights
    turned = rows.T

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margins = sign * ((rows @ point[:-1].astype(np.float32)).astype(np.float64) + point[-1])
        pull = -sign * cost / (1 + np.exp(margins.clip(-500, 500)))
        slope = np.append(turned @ pull.astype(np.float32) + point[:-1], pull.sum())
        return float(cost @ np.logaddexp(0, -margins) + point[:-1] @ point[:-1] / 2), slope

    start = np.zeros(columns + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 8, "ftol": 1e-7}).x
    return found[:-1].astype(np.float32), float(found[-1])


def scorer_of(weights: np.ndarray, bias: float, bits: int = BITS) -> HashedScorer:
    """A hashed scorer that looks at the whole text alone, and is not calibrated beyond what the regression does."""
    views = {view: float(view == "whole") for view in VIEWS}
    return HashedScorer(
        "hashed", weights, {"bits": bits, "bias": bias, "views": views, "offset": 0.0, "thresholds": [[0.0, 1.0]]}
    )


@dataclass(frozen=True)
class Fitted:
    """A hashed scorer, and what its likes said of mail that they had not seen."""

    scorer: HashedScorer  # fitted on all rows, its views mixed and calibrated
    places: np.ndarray  # [M]: indices of the rows that are whole mails
    margins: np.ndarray  # [M]: calibrated log-odds of each by a scorer that was fitted without its fold


def fit_hashed(rows: Rows, bits: int = BITS) -> Fitted:
    """The hashed scorer of `rows`.

    Raises:
        TrainingError: all rows are of one kind, or there are too few to hold any out.
    """
    matrix, weights = Matrix(rows.texts, bits), weights_of(rows)
    places, views = cross_fitted(rows, matrix, weights)
    mix, offset = mixed_views(views, rows.spam[places], rows.counts[places])
    scorer = scorer_of(*matrix.fit(np.arange(len(rows.texts)), rows.spam, weights), bits)
    scorer.mix, scorer.offset = mix, offset
    scorer.config |= {"views": dict(zip(VIEWS, mix.tolist(), strict=True)), "offset": offset}
    return Fitted(scorer, places, views @ mix + offset)


def cross_fitted(rows: Rows, matrix: Matrix, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(indices of the rows that are whole mails [M], views of each by a scorer fitted without its fold [M, V]).

    Raises:
        TrainingError: as `fit_hashed`.
    """
    if rows.spam.all() or not rows.spam.any():
        raise TrainingError("There are mails of one kind only; both spam and honest mail are needed.")
    places = np.flatnonzero(~np.isin(rows.kinds, NO_MAIL))
    views = np.zeros((len(places), len(VIEWS)))
    turns = rows.folds // TOGETHER
    for turn in np.unique(turns):
        train, held = np.flatnonzero(turns != turn), np.flatnonzero(turns[places] == turn)
        if len(set(rows.spam[train].tolist())) < 2:
            raise TrainingError("There are too few mails: hardly any are left when some are held out.")
        part = scorer_of(*matrix.fit(train, rows.spam[train], weights[train]), matrix.bits)
        views[held] = part.views([rows.texts[i] for i in places[held]])
    return places, views


def mixed_views(views: np.ndarray, spam: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """(weight of each view [V], offset) by logistic regression on `views` [N, V], held down by little."""
    from training.spam.extra import sklearn

    spread = views.std(axis=0) + 1e-6
    model = sklearn("linear_model").LogisticRegression(C=1.0, max_iter=1000)
    model.fit(views / spread, spam, sample_weight=counts)
    return model.coef_[0] / spread, float(model.intercept_[0])
