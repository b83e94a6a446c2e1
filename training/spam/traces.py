"""Traces: mails as refitting sees them. Their hashed columns, the network's row of each, and the log-odds as they are.

Owns reading them off texts, what is learned from them (`refit.py`), and how far that moves them. Every view of a mail
is taken to move as its whole text does: its passages are of it. Where traces come from is `retrain.py`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from engine.spam.features import Features, features
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.stacked_scorer import CLEAR, StackedScorer, beginning, log_odds
from training.spam.refit import DenseRows, SparseRows, refit

Scorer = StackedScorer | HashedScorer


@dataclass(frozen=True)
class Traces:
    """N mails. The columns of all stand one mail after the other."""

    spam: np.ndarray  # [N] bool
    sizes: np.ndarray  # [N] int64: how many columns each has
    columns: np.ndarray  # [sum of sizes] int64
    values: np.ndarray  # [sum of sizes] fp32: of the whole text
    hashed: np.ndarray  # [N] float64: the hashed scorer's log-odds
    pooled: np.ndarray  # [N, C] fp32: what the network's head reads; [N, 0] without a network
    neural: np.ndarray  # [N] float64: the network's log-odds

    def __len__(self) -> int:
        return len(self.spam)

    @property
    def places(self) -> np.ndarray:
        """[sum of sizes]: which mail each column is of."""
        return np.repeat(np.arange(len(self)), self.sizes)


@dataclass(frozen=True)
class Change:
    """What is added to a scorer's weights."""

    hashed: np.ndarray  # [2**bits] fp32
    head: np.ndarray  # [C] fp32: to the log-odds' weights, before the temperature


def trace(
    scorer: Scorer, texts: Sequence[str], spam: np.ndarray, kept: Callable[[str, int], Features] = features
) -> Traces:
    """The traces that `texts` leave in `scorer`; `spam`: [texts] bool; `kept`: what of a text, read with so many bits,
    is in them."""
    hashed = hashed_part(scorer)
    found = [kept(text, hashed.bits) for text in texts]
    pooled, neural = np.zeros((len(texts), 0), dtype=np.float32), np.zeros(len(texts))
    if isinstance(scorer, StackedScorer) and texts:
        pooled = scorer.network.pooled([beginning(text) for text in texts]).cpu().numpy()
        neural = log_odds(scorer.network, texts) + scorer.head_bias  # beyond what counts of it, too
    return Traces(
        spam=spam,
        sizes=np.array([len(each.columns) for each in found], dtype=np.int64),
        columns=np.concatenate([np.empty(0, dtype=np.int64), *(each.columns for each in found)]).astype(np.int64),
        values=np.concatenate([np.empty(0, dtype=np.float32), *(each.values for each in found)]),
        hashed=hashed.margins(texts),
        pooled=pooled,
        neural=neural,
    )


def joined(first: Traces, second: Traces) -> Traces:
    """Both, one after the other."""
    return Traces(*(np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(Traces)))


def hashed_part(scorer: Scorer) -> HashedScorer:
    return scorer.classical if isinstance(scorer, StackedScorer) else scorer


def learn(
    scorer: Scorer, traces: Traces, counts: np.ndarray, spring: float, held: np.ndarray | None = None
) -> Change:  # fmt: skip
    """What to add to `scorer`'s weights so that `traces` get their labels.

    Args:
        counts: [N], how much each mail counts.
        spring: how much is held to the old weights; see `refit`.
        held: [N], how much each mail is held to its log-odds, whatever its label is.
    """
    hashed = hashed_part(scorer)
    used, compact = np.unique(traces.columns, return_inverse=True)  # the others would not move
    values = torch.from_numpy(float(hashed.mix.sum()) * traces.values).float()
    places, columns = torch.from_numpy(traces.places), torch.from_numpy(compact.reshape(-1))
    rows = SparseRows(places, columns, values, (len(traces), len(used)))
    change = np.zeros_like(hashed.weights)
    change[used] = refit(rows, traces.hashed, traces.spam, counts, spring, held)
    head = np.zeros(traces.pooled.shape[1], dtype=np.float32)
    if isinstance(scorer, StackedScorer):
        dense = torch.from_numpy(traces.pooled) / scorer.network.config.temperature
        size = float(dense.square().sum(1).mean())  # so that the spring is as stiff as for rows of length 1
        head = refit(DenseRows(dense), traces.neural, traces.spam, counts, spring * size, held)
    return Change(change, head)


def apply(scorer: Scorer, change: Change) -> None:
    """Add `change` to `scorer`'s weights, in place."""
    hashed_part(scorer).weights += change.hashed
    if isinstance(scorer, StackedScorer):
        network, half = scorer.network, torch.from_numpy(change.head) / 2
        place = network.labels.index("spam")
        network.head = network.head + torch.stack(
            [half if row == place else -half for row in range(len(network.labels))]
        )


def moved(scorer: Scorer, traces: Traces, change: Change) -> Traces:
    """`traces` with the log-odds that they have after `change`. No text is read, so it holds for mail that is gone."""
    steps = change.hashed[traces.columns] * traces.values
    sums = np.bincount(traces.places, steps, minlength=len(traces)) * float(hashed_part(scorer).mix.sum())
    neural = traces.neural
    if isinstance(scorer, StackedScorer):
        neural = neural + traces.pooled @ change.head / scorer.network.config.temperature
    return replace(traces, hashed=traces.hashed + sums, neural=neural)


def margins_of(scorer: Scorer, traces: Traces) -> np.ndarray:
    """[N]: log-odds of the whole scorer."""
    if not isinstance(scorer, StackedScorer):
        return traces.hashed
    members = np.stack([traces.neural, traces.hashed], axis=1).clip(-CLEAR, CLEAR)
    return np.asarray(members @ scorer.weights + scorer.bias)
