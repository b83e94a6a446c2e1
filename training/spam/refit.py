"""Refitting a linear scorer from where it is: logistic regression whose weights are held to old ones by a spring.

With a prior at the old weights (MAP, as in Evgeniou and Pontil 2004) what is not contradicted stays as it was, even
where the old data are not at hand. Torch only. What the rows are is `retrain.py`'s business.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 60


def refit(rows: Tensor, old: np.ndarray, spam: np.ndarray, weights: np.ndarray, spring: float) -> np.ndarray:
    """What to add to log-odds weights so that `rows` get their labels.

    Args:
        rows: [N, C], dense or sparse, fp32.
        old: [N], log-odds that the old weights give.
        spam: [N] bool.
        weights: [N], how much each row counts.
        spring: the squared change of all weights costs half of this.

    Returns:
        [C], to be added to the old weights.
    """
    change = torch.zeros(rows.shape[1], requires_grad=True)
    before, target = torch.from_numpy(old).float(), torch.from_numpy(spam).float()
    count = torch.from_numpy(weights).float()
    search = torch.optim.LBFGS([change], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7)

    def closure() -> Tensor:
        search.zero_grad()
        margins = before + (rows @ change[:, None])[:, 0]
        losses = F.binary_cross_entropy_with_logits(margins, target, reduction="none")
        loss = (losses * count).sum() + spring / 2 * change.square().sum()
        loss.backward()
        return loss

    search.step(closure)
    return change.detach().numpy()
