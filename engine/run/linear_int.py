"""Linear layers with weights rounded to 8 and 4 bits. Rounding is `rounding.py`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.run.linear_base import FEW, LARGE, NARROW, Linear
from engine.run.linear_half import PackedLinear, has_packed
from engine.run.processor import has_bf16, has_vnni, int8_engine, packing_for, works
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

MANY = 64  # rows from which unpacking int4 weights for them pays


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
        return y if self._bias is None else y.add_(self._bias)


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
