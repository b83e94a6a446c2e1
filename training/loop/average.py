"""A running average of the weights (EMA), which is often better than the last of them (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from training.loop.distributed import put_away


class Average:
    """Of every trained parameter: average ← d·average + (1 − d)·weight after each step.

    d is the recipe's `ema`, and less at the beginning, (1 + step) / (10 + step), so that the random start is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {
            n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """After `step` steps, the first one being 1."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, parameter in model.named_parameters():
            if name in self.weights:
                self.weights[name].lerp_(parameter, share)

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """`model` has the averaged weights within this context, its own again afterwards."""
        own = {n: p.detach().clone() for n, p in model.named_parameters() if n in self.weights}
        _fill(model, self.weights)
        try:
            yield
        finally:
            put_away(model)  # which a forward pass may have left whole
            _fill(model, own)


@torch.no_grad()
def _fill(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        if name in weights:
            parameter.copy_(weights[name])
