"""Cross-entropy over a vocabulary without ever holding all logits: on the CPU, where they cost more than they should.

A step's logits are its largest tensor by far (1,024 tokens of GPT-2's vocabulary: 206 MB), and the plain way writes and
reads it seven times. Here some rows at a time become logits, then their own gradient in place, and that is multiplied
out at once (after Hsu et al. 2024, Liger Kernel). Rows that no loss is on, such as a user's words, cost nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.data.batches import IGNORE

ROWS = 256  # tokens that have logits at once


def summed_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, fp32, summed over the targets [N] that are not IGNORE, of `hidden` [N, C] times `weight`
    [vocabulary, C]; multiplied in autocast's precision where that is on, summed in fp32."""
    wanted = targets != IGNORE
    if not bool(wanted.all()):
        hidden, targets = hidden[wanted], targets[wanted]
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    learn = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    with torch.autocast(kind, enabled=False):
        loss: Tensor = _Summed.apply(hidden.to(dtype), weight.to(dtype), targets, learn)
    return loss


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, learn: bool) -> Tensor:
        """The loss; with `learn` its gradients are made at once, while the logits are there."""
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        to_hidden = torch.empty_like(hidden) if learn else None
        to_weight = torch.zeros_like(weight) if learn and ctx.needs_input_grad[1] else None
        for start in range(0, len(hidden), ROWS):
            rows, right = hidden[start : start + ROWS], targets[start : start + ROWS, None]
            logits = torch.mm(rows, weight.T).float()
            torch.log_softmax(logits, -1, out=logits)
            total -= logits.gather(-1, right).sum()
            if to_hidden is None:
                continue
            gradient = logits.exp_()
            gradient.scatter_add_(-1, right, gradient.new_full(right.shape, -1.0))
            gradient = gradient.to(weight.dtype)
            torch.mm(gradient, weight, out=to_hidden[start : start + ROWS])
            if to_weight is not None:
                to_weight.addmm_(gradient.T, rows)
        ctx.gradients = to_hidden, to_weight
        return total

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """What forward has made, times what comes from above, which is 1 but for shared micro-batches."""
        gradients = [g if g is None or given == 1 else g.mul_(given.to(g.dtype)) for g in ctx.gradients]
        ctx.gradients = None, None
        return gradients[0], gradients[1], None, None
