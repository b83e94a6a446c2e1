"""Several projections of the same input as one layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.run.linear import Precision, make_linear
from engine.run.linear_base import Linear


def join(dtype: torch.dtype, precision: Precision, *parts: tuple[Tensor | None, Tensor | None]) -> Linear:
    """One layer that computes what several (weight, bias) do, their outputs one after the other."""
    weights = [weight.detach() for weight, _ in parts if weight is not None]
    biases = [bias.detach() for _, bias in parts if bias is not None]
    return make_linear(*weights, bias=torch.cat(biases) if biases else None, dtype=dtype, precision=precision)


def of(*layers: nn.Linear) -> list[tuple[Tensor, Tensor | None]]:
    """(weight, bias) of each of `layers`, for `join`."""
    return [(layer.weight, layer.bias) for layer in layers]
