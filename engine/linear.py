"""Linear layers in every precision: fp32, bf16, int8 and int4, each by the quickest operator that this torch has here.

Owns how weights are rounded, laid out and multiplied. Plain classes and no modules: for one token at a time, a module's
calls and lookups add up. Which precision a model gets is `device.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Precision = Literal["fp32", "bf16", "int8", "int4"]
Linear = Callable[[Tensor], Tensor]

GROUP = 32  # weights that share a scale and a zero point in int4
WIDE = 1_500_000  # weights from which rounding the input too pays for itself
_PAD = 64  # outputs that the int4 kernel wants a multiple of


def make_linear(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, precision: Precision) -> Linear:
    """A layer y = x·weightᵀ + bias; weight [out, in] in any precision, inputs and outputs in `dtype`."""
    bias = bias.to(dtype) if bias is not None else None
    if weight.device.type == "cpu":
        if precision == "int4" and has_int4() and weight.shape[1] % GROUP == 0:
            return Int4Linear(weight, bias, dtype)
        if precision in ("int8", "int4") and has_int8():
            return Int8Linear(weight, bias, dtype)
        if dtype == torch.bfloat16 and has_packed():
            return PackedLinear(weight.to(dtype), bias)
    return PlainLinear(weight.to(dtype), bias)


class PlainLinear:
    """`F.linear`, which every device and precision has."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedLinear:
    """A linear layer whose bf16 weights lie in the order that oneDNN's kernels read them in.

    Packed once instead of at every call, this is twice as fast as `F.linear` for one token at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # choosing the overload at every call costs 4 µs

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed, self.bias, "none", [], "")


class Int8Linear:
    """Weights rounded to int8 with one scale for each output: half the bytes of bf16 to read for every token.

    Wide layers and many tokens round the input as well, with a scale of its own for each token (as LLM.int8,
    Dettmers et al. 2022, does for its inliers), and multiply in integers, which is twice as fast as bf16. One token
    through a small layer is multiplied as it is: rounding it would cost more than it saves.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        scale = weight.float().abs().amax(dim=1).clamp(min=1e-10) / 127
        self.weight = (weight.float() / scale[:, None]).round().to(torch.int8)  # [out, in]
        self._transposed = self.weight.t()
        self._scale, self._scale_of_wide = scale.to(dtype), scale / 127
        self._bias, self._dtype, self._width = bias, dtype, weight.shape[1]
        self._bias_of_wide = bias.float() if bias is not None else torch.zeros(len(weight))
        self._small = weight.numel() < WIDE
        self._int_mm = torch.ops.aten._int_mm.default
        self._weight_only = torch.ops.aten._weight_int8pack_mm.default

    def __call__(self, x: Tensor) -> Tensor:
        shape, rows = x.shape[:-1], x.reshape(-1, self._width)
        if self._small and len(rows) == 1:
            y = self._weight_only(rows, self.weight, self._scale).view(*shape, -1)
            return y if self._bias is None else y + self._bias
        largest = torch.linalg.vector_norm(rows, torch.inf, -1, True, dtype=torch.float32).clamp_(min=1e-10)
        rounded = torch.mul(rows, 127 / largest).round_().to(torch.int8)
        y = self._int_mm(rounded, self._transposed) * self._scale_of_wide
        return torch.addcmul(self._bias_of_wide, y, largest).to(self._dtype).view(*shape, -1)


class Int4Linear:
    """Weights rounded to 16 levels between the smallest and the largest of each 32 neighbours; inputs stay in bf16."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._outputs, self._width = weight.shape
        self._bias, self._dtype = bias, dtype
        padded = F.pad(weight.float(), (0, 0, 0, -len(weight) % _PAD))
        levels, scale, zero = round_to_int4(padded)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
        self._scale_and_zero = torch.stack((scale, zero), -1).transpose(0, 1).contiguous().to(torch.bfloat16)
        self._multiply = torch.ops.aten._weight_int4pack_mm_for_cpu.default

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self._width).to(torch.bfloat16)
        y = self._multiply(rows, self._packed, GROUP, self._scale_and_zero)[:, : self._outputs]
        y = y.to(self._dtype).reshape(*x.shape[:-1], self._outputs)
        return y if self._bias is None else y + self._bias


def round_to_int4(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(levels, scale, zero) of [out, in]: levels int32 0…15 [out, in], the others [out, in/32] as bf16 holds them.

    A weight is (level - 8)·scale + zero. The range of a group is shrunk where cutting off its ends costs less, in
    squared error, than the finer steps inside win.
    """
    groups = weight.view(len(weight), -1, GROUP)
    low, high = groups.amin(-1), groups.amax(-1)
    best_error = torch.full_like(low, torch.inf)
    best_scale, best_zero = torch.zeros_like(low), torch.zeros_like(low)
    for shrink in (1.0, 0.95, 0.9, 0.85, 0.8, 0.75):
        scale = ((high - low) * shrink / 15).clamp(min=1e-8).to(torch.bfloat16).float()
        zero = ((high + low) / 2 + scale / 2).to(torch.bfloat16).float()
        error = (_dequantize(_levels(groups, scale, zero), scale, zero) - groups).square().sum(-1)
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale, best_zero = torch.where(better, scale, best_scale), torch.where(better, zero, best_zero)
    levels = _levels(groups, best_scale, best_zero)
    return levels.to(torch.int32).view(weight.shape), best_scale, best_zero


def _levels(groups: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return ((groups - zero[..., None]) / scale[..., None] + 8).round().clamp(0, 15)


def _dequantize(levels: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return (levels - 8) * scale[..., None] + zero[..., None]


@lru_cache(maxsize=1)
def has_packed() -> bool:
    """Whether this torch packs bf16 weights for oneDNN."""
    return torch.backends.mkldnn.is_available() and _works(
        lambda: PackedLinear(torch.ones(16, 32, dtype=torch.bfloat16), None)(torch.ones(1, 32, dtype=torch.bfloat16))
    )


@lru_cache(maxsize=1)
def has_int8() -> bool:
    """Whether this torch multiplies int8 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32, dtype=torch.bfloat16)
    layer = Int8Linear
    return torch.backends.mkldnn.is_available() and _works(lambda: layer(weight, None, x.dtype)(x))


@lru_cache(maxsize=1)
def has_int4() -> bool:
    """Whether this torch multiplies int4 weights on this CPU."""
    weight, x = torch.ones(64, 64), torch.ones(1, 64, dtype=torch.bfloat16)
    return _works(lambda: Int4Linear(weight, None, x.dtype)(x))


def _works(attempt: Callable[[], object]) -> bool:
    """Whether an operator is there and takes what it is given; older torches and other CPUs lack some."""
    try:
        attempt()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True
