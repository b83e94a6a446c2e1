"""Fits the hashed scorer: logistic regression on rows, cross-validated, and a mix of views that the folds are for.

Owns which rows a fold is kept from, the mix and calibration that are fitted on what was held out (stacking, Wolpert
1992), and the optimiser (L-BFGS, Liu and Nocedal 1989). The features are `engine/spam/features.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from engine.spam.features import BITS, Features, features
from engine.spam.hashed_scorer import GAPS, VIEWS, HashedScorer, gaps, parts_of
from engine.spam.known import NOTHING, Known, familiar
from training.errors import TrainingError
from training.spam.marking import marked

C = 100.0  # how little weights are held down
STEPS = 40
# How much spam with honest text around it counts: while weights are learned, where it teaches that honest words are
# spam's (the worse the stranger the mail), and while views are mixed.
PADDED, PADDED_IN_MIX = 0.03, 1.0
KNOWN_TO = (0.5, 0.5, 0.8)  # value of a column that 0, 1 or 2 sources know, where that of the others is 1
# How much English and mail written by hand count together, where the mail of one label is 1: beside one corpus
# and beside several, which say themselves what mails have in common.
BESIDE_ONE, MOST_BESIDE = 0.03, 1.7
# Honest mails for one spam in what is calibrated, whatever the training mail's share is: another's mail has another.
HONEST = 1.5
BESIDE = ("ordinary", "written", "pair")  # kinds of rows that are nobody's mail
FOLDS = 5
TOGETHER = 2  # folds that are held out at once
MEASURED = ("plain", "padded")  # kinds of rows that views are mixed on; "plain" alone is what was sent


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


def corpora_of(rows: Rows) -> list[str]:
    """The sources of all that is neither English nor written by hand, sorted."""
    return sorted(set(np.array(rows.sources)[~np.isin(rows.kinds, BESIDE)].tolist()))


def to_leave_out(rows: Rows) -> list[str]:
    """The corpora of `rows` that can be left out to see what is said of a stranger's mail: there are others, and spam
    and honest mail in each part."""
    corpora, sources = corpora_of(rows), np.array(rows.sources)
    parts = {one: (rows.spam[sources == one], rows.spam[sources != one]) for one in corpora}
    return [one for one in corpora if len(corpora) > 1 and all(p.any() and not p.all() for p in parts[one])]


def weights_of(rows: Rows, beside_one: float = BESIDE_ONE) -> np.ndarray:
    """[N]: how much each row counts. Spam as much as honest mail; within each, a source by the root of its size, so
    that a small one counts more than its size and less than a large one; English and mail written by hand count no more
    than MOST_BESIDE of the rest, where there is any (`beside_one` where that is of one source), and the rest 1 a row on
    average, so that how closely a small corpus is fitted does not depend on what lies beside it."""
    groups = list(zip(rows.sources, rows.spam.tolist(), strict=True))
    size = Counter(groups)
    counts = rows.counts * np.where(rows.kinds == "padded", PADDED, 1.0)
    weights = np.array([size[group] ** -0.5 for group in groups]) * counts
    beside = np.isin(rows.kinds, BESIDE)
    most = beside_one if len(corpora_of(rows)) == 1 else MOST_BESIDE
    for label in (True, False):
        extra, mail = beside & (rows.spam == label), ~beside & (rows.spam == label)
        if mail.any() and extra.any():
            weights[extra] *= min(1.0, most * weights[mail].sum() / weights[extra].sum())
        counted, all_counted = (mail, ~beside) if mail.any() else (extra, beside)
        weights[rows.spam == label] *= all_counted.sum() / (2 * weights[counted].sum())
    return weights


@lru_cache(maxsize=200_000)  # of some 10 KB each: the splits of the table share most of their mail
def parts(text: str, bits: int, measured: bool) -> list[Features]:
    """The features of `text`, and if it is measured on those of its halves; see `parts_of`."""
    return next(parts_of([text], bits)) if measured else [features(text, bits)]


def measured(rows: Rows) -> np.ndarray:
    """[N] bool: of which rows every view is read."""
    return np.isin(rows.kinds, MEASURED)


class Matrix:
    """The features of many texts, as a sparse matrix with only the columns that occur twice or more."""

    def __init__(self, rows: Rows, bits: int = BITS) -> None:
        self.texts, self.bits, self.sources = rows.texts, bits, np.array(rows.sources)
        whole = [parts(text, bits, m)[0] for text, m in zip(rows.texts, measured(rows).tolist(), strict=True)]
        seen = np.zeros(2**bits, dtype=np.uint8)
        for each in whole:  # each column stands in it once
            seen[each.columns] = np.minimum(seen[each.columns] + 1, 2)
        self.used = np.flatnonzero(seen > 1)
        self._place = np.full(2**bits, -1, dtype=np.int32)
        self._place[self.used] = np.arange(len(self.used), dtype=np.int32)
        self.rows = self._rows(whole)

    def _rows(self, found: Sequence[Features]) -> Any:
        """Sparse [found, used columns], fp32."""
        from scipy.sparse import csr_matrix

        places = [self._place[each.columns] for each in found]
        values = [each.values[place >= 0] for each, place in zip(found, places, strict=True)]
        ends = np.cumsum([0, *map(len, values)])
        columns = np.concatenate([np.empty(0, np.int32), *(place[place >= 0] for place in places)])
        return csr_matrix(
            (np.concatenate([np.empty(0, np.float32), *values]), columns, ends), shape=(len(found), len(self.used))
        )

    def views(self, weights: np.ndarray, bias: float, known: Known, places: np.ndarray) -> np.ndarray:
        """[places, VIEWS + 1]: what a scorer of `weights` [2**bits] that knows the spam `known` says of the texts at
        `places`, which are measured."""
        small, result = weights[self.used], np.zeros((len(places), len(VIEWS) + 1))
        for start in range(0, len(places), 2000):
            block = places[start : start + 2000]
            found = [part for i in block for part in parts(self.texts[i], self.bits, True)]
            margins = (self._rows(found) @ small).reshape(len(block), len(VIEWS)) + bias
            shares = [familiar(known.share(whole.columns)) for whole in found[:: len(VIEWS)]]
            result[start : start + len(block)] = np.column_stack([margins, shares])
        return result

    def known(self, rows: Rows, places: np.ndarray) -> Known:
        """The marks of the spam among those of `rows`, which this is of, at `places` that are mail as it was sent."""
        sent = places[rows.kinds[places] == "plain"]
        return marked([parts(self.texts[i], self.bits, True)[0] for i in sent], rows.spam[sent], self.bits)

    def fit(self, places: np.ndarray, spam: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """(weights [2**bits], bias) of the rows at `places`, whose labels and own weights are [places]."""
        rows = self.rows[places]  # a copy
        value = shared(rows, self.sources[places])
        rows.data *= value[rows.indices]
        small, bias = regress(rows, spam, weights)
        whole = np.zeros(2**self.bits, dtype=np.float32)
        whole[self.used] = small * value
        return whole, bias


def shared(rows: Any, sources: np.ndarray) -> np.ndarray:
    """[columns] fp32: the value of each column of sparse `rows` [N, columns] by how many of their `sources` [N] know it
    (have it in two rows). What one source alone knows is its accent rather than spam's, and its weight is held down."""
    known = np.zeros(rows.shape[1], dtype=np.intp)
    for source in np.unique(sources):
        known += np.bincount(rows[sources == source].indices, minlength=rows.shape[1]) > 1
    return np.array([*KNOWN_TO, 1.0], dtype=np.float32)[np.minimum(known, len(KNOWN_TO))]


def regress(rows: Any, spam: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights [columns], bias) of logistic regression on sparse `rows` [N, columns]; `weights` [N] of the rows."""
    from scipy.optimize import minimize

    sign, columns, cost = np.where(spam, 1.0, -1.0), rows.shape[1], C * weights
    turned = rows.T.tocsr()  # twice as fast as the transposed

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        margins = sign * ((rows @ point[:-1].astype(np.float32)).astype(np.float64) + point[-1])
        pull = -sign * cost / (1 + np.exp(margins.clip(-500, 500)))
        slope = np.append(turned @ pull.astype(np.float32) + point[:-1], pull.sum())
        return float(cost @ np.logaddexp(0, -margins) + point[:-1] @ point[:-1] / 2), slope

    start = np.zeros(columns + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 8, "ftol": 1e-7}).x
    return found[:-1].astype(np.float32), float(found[-1])


def scorer_of(weights: np.ndarray, bias: float, bits: int = BITS, known: Known = NOTHING) -> HashedScorer:
    """A hashed scorer that looks at the whole text alone, and is not calibrated beyond what the regression does."""
    views = {view: float(view == "whole") for view in VIEWS}
    config = {
        "bits": bits,
        "bias": bias,
        "views": views,
        "gaps_from": list(GAPS),
        "offset": 0.0,
        "thresholds": [[0.0, 1.0]],
    }
    return HashedScorer("hashed", weights, config, known)


@dataclass(frozen=True)
class Fitted:
    """A hashed scorer, and what its likes said of mail that they had not seen."""

    scorer: HashedScorer  # fitted on all rows, its views mixed and calibrated
    places: np.ndarray  # [M]: indices of the rows that are measured
    margins: np.ndarray  # [M]: calibrated log-odds of each by a scorer that was fitted without its fold
    matrix: Matrix  # of all rows


def fit_hashed(rows: Rows, bits: int = BITS) -> Fitted:
    """The hashed scorer of `rows`.

    Raises:
        TrainingError: all rows are of one kind, or there are too few to hold any out.
    """
    matrix, weights = Matrix(rows, bits), weights_of(rows)
    places, views = cross_fitted(rows, matrix, weights)
    every = np.arange(len(rows.texts))
    scorer = scorer_of(*matrix.fit(every, rows.spam, weights), bits, matrix.known(rows, every))
    mix_views(scorer, views, rows.take(places))
    return Fitted(scorer, places, scorer.mixed(views), matrix)


def abroad(rows: Rows, fitted: Fitted) -> dict[str, np.ndarray]:
    """For each corpus the log-odds [its mails as they were sent] by a scorer that was fitted without it, whose views
    are mixed as those of `fitted`, the scorer of `rows`; see `to_leave_out`."""
    sources, found = np.array(rows.sources), {}
    for source in to_leave_out(rows):
        rest = np.flatnonzero(sources != source)
        weights = weights_of(rows.take(rest), MOST_BESIDE)
        trained, known = fitted.matrix.fit(rest, rows.spam[rest], weights), fitted.matrix.known(rows, rest)
        sent = np.flatnonzero((sources == source) & (rows.kinds == "plain"))
        found[source] = fitted.scorer.mixed(fitted.matrix.views(*trained, known, sent))
    return found


def cross_fitted(rows: Rows, matrix: Matrix, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(indices of the rows that are measured [M], views of each by a scorer fitted without its fold [M, VIEWS + 1]).

    Raises:
        TrainingError: as `fit_hashed`.
    """
    if rows.spam.all() or not rows.spam.any():
        raise TrainingError("There are mails of one kind only; both spam and honest mail are needed.")
    places = np.flatnonzero(measured(rows))
    views = np.zeros((len(places), len(VIEWS) + 1))
    turns = rows.folds // TOGETHER
    for turn in np.unique(turns):
        train, held = np.flatnonzero(turns != turn), np.flatnonzero(turns[places] == turn)
        if len(set(rows.spam[train].tolist())) < 2:
            raise TrainingError("There are too few mails: hardly any are left when some are held out.")
        fitted, known = matrix.fit(train, rows.spam[train], weights[train]), matrix.known(rows, train)
        views[held] = matrix.views(*fitted, known, places[held])
    return places, views


def mix_views(scorer: HashedScorer, views: np.ndarray, rows: Rows) -> None:
    """Give `scorer`, in place, the weights of what `views` [N, VIEWS + 1] say of the whole text, of their gaps and of
    known spam by logistic regression on `rows`, and calibrate what they say on those that are as they were sent (Platt
    1999). Halves have no weights of their own: these rank strange mail worse."""
    columns = np.column_stack([views[:, 0], gaps(views), views[:, -1]])
    padded = rows.kinds == "padded"
    mix, _ = regression(columns, rows.spam, rows.counts * np.where(padded, PADDED_IN_MIX, 1.0))
    sent = rows.take(~padded)
    slope, offset = regression((columns @ mix)[~padded, None], sent.spam, calibrated_on(sent.spam))
    whole, scorer.gap, scorer.bonus = (mix * max(float(slope[0]), 0.0)).tolist()
    scorer.mix, scorer.offset = np.array([whole, *[0.0] * (len(VIEWS) - 1)]), offset
    views_config = dict(zip(VIEWS, scorer.mix.tolist(), strict=True))
    scorer.config |= {"views": views_config, "gap": scorer.gap, "known": scorer.bonus, "offset": offset}


def calibrated_on(spam: np.ndarray) -> np.ndarray:
    """[N]: how much each mail counts in what is calibrated, so that HONEST honest ones come to one `spam` [N]."""
    return np.where(spam, 1.0, HONEST * spam.sum() / max((~spam).sum(), 1))


def regression(columns: np.ndarray, spam: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights [V], offset) of logistic regression on `columns` [N, V], held down by little."""
    from training.spam.extra import sklearn

    spread = columns.std(axis=0) + 1e-6
    model = sklearn("linear_model").LogisticRegression(C=1.0, max_iter=1000)
    model.fit(columns / spread, spam, sample_weight=counts)
    return model.coef_[0] / spread, float(model.intercept_[0])
