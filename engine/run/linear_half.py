"""Linear layers with weights of 16 bits: packed for oneDNN, as they come, or widened to fp32 as they are read."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.run.linear_base import Linear
from engine.run.processor import has_amx, packing_for, without_onednn, works
from engine.run.rounding import row_scale

HALF_MAX = 65504.0  # the largest number in fp16


class PackedLinear(Linear):
    """A linear layer whose bf16 weights lie in the order that oneDNN's kernels read them in.

    Packed once instead of at every call, this is twice as fast as `F.linear` for one token at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = bias
        # Packed for many rows, AMX is no slower with one row, and up to a third quicker with many.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, 512 if has_amx() else 1)
        self.packed = (self._packed,)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # choosing the overload at every call costs 4 µs
        self._then, self._kind, self._nothing = "none", "", weight.new_zeros(1, len(weight))

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16:
            x = x.to(torch.bfloat16)
        if torch.jit.is_tracing():
            return self._recorded(x)
        return self._multiply(x, self._packed, self.bias, self._then, [], self._kind)

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """Added before the sum is rounded to bf16."""
        if rows.dtype != torch.bfloat16:
            return rows.add_(self(x))
        if x.dtype != torch.bfloat16:
            x = x.to(torch.bfloat16)
        return torch.ops.mkldnn._linear_pointwise.binary(x, rows, self._packed, self.bias, "add")

    def _recorded(self, x: Tensor) -> Tensor:
        """The same for `traced.py`, by an overload that takes no list of numbers: TorchScript has no such type."""
        y = self.add_to(self._nothing, x)
        return F.gelu(y, approximate=self._kind) if self._then == "gelu" else y

    def with_gelu(self) -> PackedLinear:
        """The same layer and GELU's tanh approximation behind it, in one step: when reading, torch's own takes as long
        as the multiplication.
        """
        self._then, self._kind = "gelu", "tanh"
        return self


class RowsLinear(Linear):
    """A linear layer whose bf16 weights lie as they come, a row for each output: not copied, where a file has them so.

    One token's outputs are torch's own products of a row with it, which take 60 to 75 % of oneDNN's time with packed
    weights. Reading, oneDNN puts the rows in its order each time: for chunks of 512 tokens that is 5 % of its time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight.contiguous(), bias
        self._multiply = torch.ops.mkldnn._linear_pointwise
        self._then, self._kind = "none", ""
        self.wide_bias: Tensor | None = None  # for compiled code

    @property
    def bends(self) -> bool:
        """Whether GELU follows."""
        return self._then == "gelu"

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16:
            x = x.to(torch.bfloat16)
        if len(x) > 1:
            return self._multiply.default(x, self.weight, self.bias, self._then, [], self._kind)
        with without_onednn:
            y = F.linear(x, self.weight, self.bias)
        return F.gelu(y, approximate=self._kind) if self._then == "gelu" else y

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """For many rows, added before the sum is rounded to bf16."""
        if len(x) == 1 or rows.dtype != torch.bfloat16:
            return rows.add_(self(x))
        return self._multiply.binary(x.to(torch.bfloat16), rows, self.weight, self.bias, "add")

    def with_gelu(self) -> RowsLinear:
        """As `PackedLinear.with_gelu`."""
        self._then, self._kind = "gelu", "tanh"
        return self


class HalfLinear(Linear):
    """A linear layer with fp16 weights and fp32 for all else, for processors that can widen fp16 but multiply no bf16.

    Half the bytes of fp32 to read for every token: 2.7 times as fast, and never slower when many are read at once.
    From 6·10⁻⁵ on, a bf16 weight is the same in fp16; what is smaller loses less than 3·10⁻⁸.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        with packing_for("fbgemm"):
            self._packed = torch.ops.quantized.linear_prepack_fp16(
                weight.float(), bias.float() if bias is not None else None
            )
        self.packed = (self._packed,)
        self._multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether fp16 holds its numbers."""
        return bool(row_scale(weight).max() * 127 <= HALF_MAX)


class NarrowLinear(PackedLinear):
    """A small layer that multiplies one row in fp32 by fp16 weights, and several as they lie packed.

    Calling oneDNN takes 14 µs, which for a small layer is two thirds of its time. The memory of both is little.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self._one = HalfLinear(weight, bias)
        self.packed = self._one.packed

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return super().__call__(x)
        y = self._one(x if x.dtype == torch.float32 else x.float())
        return F.gelu(y, approximate=self._kind) if self._then == "gelu" else y

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """As any layer does, for one row."""
        return super().add_to(rows, x) if len(x) > 1 else rows.add_(self(x))

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether this torch multiplies by fp16 weights, and these are such."""
        return has_half() and HalfLinear.fits(weight)


@lru_cache(maxsize=1)
def has_packed() -> bool:
    """Whether this torch packs bf16 weights for oneDNN."""
    return torch.backends.mkldnn.is_available() and works(
        lambda: PackedLinear(torch.ones(16, 32, dtype=torch.bfloat16), None)(torch.ones(1, 32, dtype=torch.bfloat16))
    )


@lru_cache(maxsize=1)
def quick_rows() -> bool:
    """Whether `RowsLinear` is the quicker one here for one row: older torches and other CPUs take other kernels, with
    AMX reading would be slower. Measured, in 2 ms: within a cache it takes up to twice as long, out of memory half."""
    weight, x = torch.ones(1024, 1024, dtype=torch.bfloat16), torch.ones(1, 1024, dtype=torch.bfloat16)
    if has_amx() or not has_packed() or not works(lambda: RowsLinear(weight, None)(x)):
        return False
    rows, packed = (min(_seconds(make(weight, None), x) for _ in range(5)) for make in (RowsLinear, PackedLinear))
    return rows < 3 * packed


def _seconds(layer: Linear, x: Tensor) -> float:
    began = time.perf_counter()
    layer(x)
    return time.perf_counter() - began


@lru_cache(maxsize=1)
def has_half() -> bool:
    """Whether this torch multiplies fp32 by fp16 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32)
    return "fbgemm" in torch.backends.quantized.supported_engines and works(lambda: HalfLinear(weight, None)(x))
