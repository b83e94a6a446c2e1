"""Linear layers in every precision: fp32, bf16, int8 and int4, each by the quickest operator that this torch has here.

Owns how weights are laid out and multiplied. Plain classes and no modules: for one token at a time, a module's calls
and lookups add up. Rounding is `rounding.py`, what is asked of the CPU `processor.py`, and which precision a model
gets `device.py`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.run.bags import bag_sums, has_bags
from engine.run.processor import has_amx, has_bf16, has_vnni, int8_engine, packing_for, works
from engine.run.rounding import (
    GROUP,
    PAD,
    int4_is_blocked,
    int8_levels,
    pair_scale,
    round_to_int4,
    row_scale,
    rows_at_a_time,
    unpack_int4,
)

Precision = Literal["fp32", "bf16", "int8", "int4"]

NARROW = 512  # a side below which a layer is so small that int8 is quicker than int4, and can have bf16 weights as well
LARGE = 2**21  # weights from which it is not: a narrow model's vocabulary
FEW = 8  # rows up to which int8 is the quicker of the two, and tokens of guesses read together (speculate.py)
HALF_MAX = 65504.0  # the largest number in fp16
BAG = 64  # outputs that a bag of a layer has at least
MANY = 64  # rows from which unpacking int4 weights for them pays


class Linear(ABC):
    """y = x·weightᵀ + bias, [N, in] → [N, out]."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """`rows` [N, out] + y; `rows` may be written over."""
        return rows.add_(self(x))


def make_linear(*weights: Tensor, bias: Tensor | None, dtype: torch.dtype, precision: Precision) -> Linear:
    """A layer y = x·weightᵀ + bias in `dtype`: weight [out, in] in any precision, x [N, in] → y [N, out].

    Of several weights the outputs are one after the other. Layers that int4 would save little memory in are int8.
    """
    bias = bias.to(dtype) if bias is not None else None
    on_cpu, inputs = weights[0].device.type == "cpu", weights[0].shape[1]
    wide = min(inputs, sum(map(len, weights))) >= NARROW
    four = precision == "int4" and wide and has_int4() and inputs % GROUP == 0
    if on_cpu and precision in ("int8", "int4") and has_int8() and not four:
        return Int8Linear(*weights, bias=bias, dtype=dtype)
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    if on_cpu:
        if four:
            return Int4Linear(weight, bias, dtype)
        if has_packed() and (dtype == torch.bfloat16 or (precision == "bf16" and has_bf16())):
            small = min(weight.shape) < NARROW and weight.numel() < 2 * LARGE
            half = weight.to(torch.bfloat16), bias.to(torch.bfloat16) if bias is not None else None
            return BagLinear(*half) if small and BagLinear.fits(weight) else PackedLinear(*half)
        if dtype == torch.float32 and precision == "bf16" and has_half() and row_scale(weight).max() * 127 <= HALF_MAX:
            return HalfLinear(weight, bias)
    return PlainLinear(weight.to(dtype), bias)


class PlainLinear(Linear):
    """`F.linear`, which every device and precision has."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class PackedLinear(Linear):
    """A linear layer whose bf16 weights lie in the order that oneDNN's kernels read them in.

    Packed once instead of at every call, this is twice as fast as `F.linear` for one token at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = bias
        # Packed for many rows, AMX is no slower with one row, and up to a third quicker with many.
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, 512 if has_amx() else 1)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # choosing the overload at every call costs 4 µs
        self._then, self._kind, self._nothing = "none", "", weight.new_zeros(1, len(weight))

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != torch.bfloat16:
            x = x.to(torch.bfloat16)
        if torch.jit.is_tracing():
            return self._recorded(x)
        return self._multiply(x, self.packed, self.bias, self._then, [], self._kind)

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """Added before the sum is rounded to bf16."""
        if rows.dtype != torch.bfloat16:
            return rows.add_(self(x))
        if x.dtype != torch.bfloat16:
            x = x.to(torch.bfloat16)
        return torch.ops.mkldnn._linear_pointwise.binary(x, rows, self.packed, self.bias, "add")

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


class BagLinear(PackedLinear):
    """A small layer that multiplies one row as bags of the transposed weights' rows, and several as they lie packed.

    Calling oneDNN takes 14 µs, which for a small layer is two thirds of its time. The memory of both is little.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        outputs, inputs = weight.shape
        # Bags are what threads share: three of them, if there can be.
        width = next((wide for wide in (512, 256, 128) if outputs % wide == 0 and outputs >= 3 * wide), BAG)
        self._bags = outputs // width
        self._table = weight.view(self._bags, width, inputs).transpose(1, 2).reshape(-1, width)
        self._rows = torch.arange(len(self._table), dtype=torch.int32)
        self._starts = torch.arange(self._bags, dtype=torch.int32) * inputs

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return super().__call__(x)
        weights = x.expand(self._bags, -1).to(torch.bfloat16).flatten()
        y = bag_sums(self._table, self._rows, self._starts, weights).view(1, -1)
        if self.bias is not None:
            y = y.add_(self.bias)
        return F.gelu(y, approximate=self._kind) if self._then == "gelu" else y

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """As any layer does, for one row."""
        return super().add_to(rows, x) if len(x) > 1 else rows.add_(self(x))

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether its outputs make two bags at least: of one alone, torch takes another kernel, 20 times as slow."""
        return has_bags() and len(weight) % BAG == 0 and len(weight) >= 2 * BAG


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
        self._multiply = torch.ops.quantized.linear_dynamic_fp16.default

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed)


class Int8Linear(Linear):
    """Weights rounded to int8 with one scale for each output, inputs with one for each token; multiplied in integers.

    Half the bytes of bf16 to read for every token, and 1.6 times its speed when many tokens are read at once. torch's
    dynamic kernel rounds its whole input with one scale, and one outlier would cost all other tokens their precision:
    so rows are brought to the same size before it, and back behind it (vector-wise rounding, Dettmers et al. 2022).

    Without VNNI, FBGEMM adds the products of two neighbouring inputs in 16 bits. Rather than taking a bit from the
    inputs, whose outliers need it, weights are rounded so that no two neighbours can add up to more than that holds.

    Where the processor multiplies bf16, small layers read many rows with bf16 weights, and give bf16 whatever `dtype`
    is: twice as fast with AMX. The memory of both is the price, and little, because only small layers pay it.
    """

    def __init__(self, *weights: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        scale_of = row_scale if has_vnni() or int8_engine() != "fbgemm" else pair_scale
        scales = [scale_of(weight) for weight in weights]
        # Joined when they are small: in fp32 they could take more memory than all that is rounded.
        rounded = [*map(int8_levels, weights, scales)]
        levels = torch.cat(rounded) if len(rounded) > 1 else rounded[0]
        self._scale = torch.cat(scales)
        self._multiply = _by_levels(levels)
        self._bias = bias.float() if bias is not None else None
        self._dtype = dtype
        half = torch.bfloat16
        self._many = None
        if min(levels.shape) < NARROW and levels.numel() < LARGE and has_bf16() and has_packed():
            joined = torch.cat([weight.to(half) for weight in weights])
            self._many = PackedLinear(joined, bias.to(half) if bias is not None else None)

    def __call__(self, x: Tensor) -> Tensor:
        if self._many is not None and x.shape[0] > FEW:
            return self._many(x.to(torch.bfloat16))
        y = self._unscaled(x)
        y = y.mul_(self._scale) if self._bias is None else torch.addcmul(self._bias, y, self._scale)
        return y if self._dtype == torch.float32 else y.to(self._dtype)

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        """With the scale in the same step, where nothing else is to be done."""
        if self._bias is not None or rows.dtype != torch.float32 or (self._many is not None and x.shape[0] > FEW):
            return rows.add_(self(x))
        return rows.addcmul_(self._unscaled(x), self._scale)

    def _unscaled(self, x: Tensor) -> Tensor:
        """x·levelsᵀ, fp32."""
        if x.dtype != torch.float32:
            x = x.float()
        if x.shape[0] == 1:  # one token: its own scale is the only one
            return self._multiply(x)
        # The infinity norm takes ten times as long as two reductions that torch has vectorised.
        largest = torch.maximum(x.amax(-1, True), x.amin(-1, True).neg_()).clamp_(min=1e-10)
        return self._multiply(x / largest).mul_(largest)


def _by_levels(levels: Tensor) -> Callable[[Tensor], Tensor]:
    """x·levelsᵀ of int8 `levels` [out, in], x being rounded to 8 bits with one scale: fp32 [N, in] → fp32 [N, out].

    torch's newer `quantized.linear_dynamic` does the same with the same FBGEMM, but its weights are an object: checking
    that at every call takes 20 µs, as long as a small layer's multiplication.
    """
    with warnings.catch_warnings(), packing_for(int8_engine()):
        warnings.simplefilter("ignore")  # that both will go one day: the range of torch versions is bounded
        if int8_engine() == "fbgemm" and hasattr(torch, "fbgemm_linear_int8_weight_fp32_activation"):
            multiply = torch.fbgemm_linear_int8_weight_fp32_activation
            weights = torch.fbgemm_pack_quantized_matrix(levels)
            pieces = levels.split(rows_at_a_time(levels))
            # All at once, they would all be copied in 32 bits first.
            sums = torch.cat([piece.sum(1, dtype=torch.int32) for piece in pieces])
            nothing = torch.zeros(len(levels))
            shape = levels.new_zeros(1).expand(levels.shape)  # all that is looked at besides the packed weights
            return lambda x: multiply(x, shape, weights, sums, 1.0, 0, nothing)
        dynamic = torch.ops.quantized.linear_dynamic.default
        weights = torch.ops.quantized.linear_prepack(torch._make_per_tensor_quantized_tensor(levels, 1.0, 0), None)
        return lambda x: dynamic(x, weights)


class Int4Linear(Linear):
    """Weights rounded to 16 levels between the smallest and the largest of each 32 neighbours; inputs stay in bf16.

    torch's kernel does the same work for every row, so many rows are read with bf16 weights made for this one time:
    with AMX, six times as quick for 512 rows.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        self._outputs = len(weight)
        self._bias, self._dtype = bias, dtype
        padded = F.pad(weight.float(), (0, 0, 0, -len(weight) % PAD))
        levels, scale, zero = round_to_int4(padded)
        self._packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
        self._scale_and_zero = torch.stack((scale, zero), -1).transpose(0, 1).contiguous().to(torch.bfloat16)
        self._multiply = torch.ops.aten._weight_int4pack_mm_for_cpu.default
        self._unpacks = has_bf16() and int4_is_blocked()

    def __call__(self, x: Tensor) -> Tensor:
        rows = x if x.dtype == torch.bfloat16 else x.to(torch.bfloat16)
        if self._unpacks and len(rows) > MANY:
            y = rows @ unpack_int4(self._packed, self._scale_and_zero)
        else:
            y = self._multiply(rows.contiguous(), self._packed, GROUP, self._scale_and_zero)
        if y.shape[1] != self._outputs:
            y = y.narrow(1, 0, self._outputs)
        if y.dtype != self._dtype:
            y = y.to(self._dtype)
        return y if self._bias is None else y + self._bias


@lru_cache(maxsize=1)
def has_packed() -> bool:
    """Whether this torch packs bf16 weights for oneDNN."""
    return torch.backends.mkldnn.is_available() and works(
        lambda: PackedLinear(torch.ones(16, 32, dtype=torch.bfloat16), None)(torch.ones(1, 32, dtype=torch.bfloat16))
    )


@lru_cache(maxsize=1)
def has_half() -> bool:
    """Whether this torch multiplies fp32 by fp16 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32)
    return "fbgemm" in torch.backends.quantized.supported_engines and works(lambda: HalfLinear(weight, None)(x))


@lru_cache(maxsize=1)
def has_int8() -> bool:
    """Whether this torch multiplies int8 weights on this CPU."""
    weight, x = torch.ones(16, 32), torch.ones(2, 32)
    return bool(int8_engine()) and works(lambda: Int8Linear(weight, bias=None, dtype=x.dtype)(x))


@lru_cache(maxsize=1)
def has_int4() -> bool:
    """Whether this torch multiplies int4 weights on this CPU."""
    weight, x = torch.ones(64, 64), torch.ones(1, 64, dtype=torch.bfloat16)
    return works(lambda: Int4Linear(weight, None, x.dtype)(x))
