"""Muon (Jordan et al. 2024) for matrices: momentum, made orthogonal by a Newton–Schulz iteration, is the update.

The arithmetic is that of `torch.optim.Muon`, which torch has from 2.9 on; this one runs on every torch we support,
takes matrices of the same shape together, and works on parameters that several processes share out (FSDP).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from engine.run.device import fast_bf16
from training.loop.distributed import like, whole

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic: steep at zero, so that five steps do
STEPS = 5
TOGETHER = 16_000_000  # elements of one stack: more costs memory and brings nothing


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; the rate is raised by √(rows / columns) for tall matrices."""

    def __init__(
        self, params: Iterable[Tensor], lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        if any(p.dim() != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon is for matrices only.")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every matrix that has a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                size = max(TOGETHER // shape.numel(), 1)
                for start in range(0, len(parameters), size):
                    self._update(parameters[start : start + size], group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        updates = []
        for parameter in parameters:
            state, grad = self.state[parameter], parameter.grad
            assert grad is not None
            if not state:
                state["momentum_buffer"] = torch.zeros_like(grad)
            state["momentum_buffer"].lerp_(grad, 1 - momentum)
            update = grad.lerp(state["momentum_buffer"], momentum)
            updates.append(whole(update))
        rows, columns = parameters[0].shape
        rate = group["lr"] * math.sqrt(max(1, rows / columns))
        for parameter, update in zip(parameters, orthogonal(torch.stack(updates)), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(like(update, parameter), alpha=-rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, rows, columns] → about U·Vᵀ of each one's singular value decomposition.

    In bf16 where the device multiplies that natively, else in fp32: emulated bf16 is tens of times slower.
    """
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16() if fast_bf16(matrices.device.type) else matrices.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # the largest singular value is at most 1
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
