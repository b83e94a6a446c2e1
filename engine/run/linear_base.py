"""What every linear layer is, the plainest of them, and the sizes by which one is chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

NARROW = 512  # a side below which a layer is so small that int8 is quicker than int4, and can have bf16 weights as well
LARGE = 2**21  # weights from which it is not: a narrow model's vocabulary
FEW = 8  # rows up to which int8 is the quicker of the two, and tokens of guesses read together (speculate.py)


class Linear(ABC):
    """y = x·weightᵀ + bias, [N, in] → [N, out]."""

    packed: tuple[Any, ...] = ()  # what one row is multiplied by, where that is in an order of a library's

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """`rows` [N, out] + y; `rows` may be written over."""
        return rows.add_(self(x))


class PlainLinear(Linear):
    """`F.linear`, which every device and precision has."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)
