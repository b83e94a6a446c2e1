"""Refitting a linear scorer from where it is: logistic regression whose weights are held to old ones by a spring.

With a prior at the old weights (MAP, as in Evgeniou and Pontil 2004) what is not contradicted stays as it was, even
where the old data are not at hand. Where they are, what was said of them is held: the probability (learning without
forgetting, Li and Hoiem 2016) and the log-odds (dark experience replay, Buzzega et al. 2020). Their labels would let a
row move until it is judged wrong. Torch only. What the rows are is `traces.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 60


@dataclass(frozen=True)
class SparseRows:
    """[N, C] of which few values are not 0. Multiplied by hand: torch's own takes five times as long."""

    places: Tensor  # [values] int64: the row of each
    columns: Tensor  # [values] int64
    values: Tensor  # [values] fp32
    shape: tuple[int, int]

    def times(self, weights: Tensor) -> Tensor:
        """[C] → [N]."""
        return torch.zeros(self.shape[0]).index_add_(0, self.places, self.values * weights[self.columns])

    def back(self, pull: Tensor) -> Tensor:
        """[N] → [C]: the transposed."""
        return torch.zeros(self.shape[1]).index_add_(0, self.columns, self.values * pull[self.places])


@dataclass(frozen=True)
class DenseRows:
    """[N, C], fp32."""

    values: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape[0], self.values.shape[1]

    def times(self, weights: Tensor) -> Tensor:
        return self.values @ weights

    def back(self, pull: Tensor) -> Tensor:
        return self.values.T @ pull


def refit(
    rows: SparseRows | DenseRows,
    old: np.ndarray,
    spam: np.ndarray,
    weights: np.ndarray,
    spring: float,
    held: np.ndarray | None = None,
) -> np.ndarray:
    """What to add to log-odds weights so that `rows` get their labels, or keep what is said of them.

    Args:
        old: [N], log-odds that the old weights give.
        spam: [N] bool.
        weights: [N], how much each row counts.
        spring: the squared change of all weights costs half of this.
        held: [N], above 0 for rows that keep what the old weights say of them, whatever their label is; the squared
            change of their log-odds costs half of this. None: no row does.

    Returns:
        [C], to be added to the old weights.
    """
    change = torch.zeros(rows.shape[1])
    before, count = torch.from_numpy(old).float(), torch.from_numpy(weights).float()
    hold = torch.zeros(len(count)) if held is None else torch.from_numpy(held).float()
    target = torch.where(hold > 0, before.sigmoid(), torch.from_numpy(spam).float())
    search = torch.optim.LBFGS([change], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> Tensor:
        moved = rows.times(change)
        margins = before + moved
        losses = F.binary_cross_entropy_with_logits(margins, target, reduction="none")
        change.grad = rows.back(count * (margins.sigmoid() - target) + hold * moved) + spring * change
        return (losses * count).sum() + (hold * moved.square()).sum() / 2 + spring / 2 * change.square().sum()

    search.step(closure)
    return change.numpy()
