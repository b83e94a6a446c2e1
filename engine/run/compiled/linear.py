"""Linear layers whose weights lie as `code/products.py` multiplies them, and what it must be told about them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.run.compiled.host import lanes, target
from engine.run.compiled.machine import machine
from engine.run.compiled.places import AFTER, MULTIPLY, TILE
from engine.run.linear_base import FEW, LARGE, NARROW, Linear
from engine.run.linear_half import PackedLinear, RowsLinear, has_packed
from engine.run.processor import has_amx, has_bf16
from engine.run.rounding import GROUP, int8_levels, pair_scale, round_to_int4, row_scale, rows_at_a_time

PARTS = 8  # in which a product is shared out: four for each of two threads
LEAST = 32  # what inputs come in multiples of


def describe(
    bits: int,
    inputs: int,
    outputs: int,
    weights: Tensor,
    scales: Tensor | None,
    shifts: Tensor | None,
    bias: Tensor | None,
) -> np.ndarray:
    """A product as compiled functions want it: int64, in the order of `places.py`."""
    blocks = -(-outputs // lanes(target()))
    addresses = [tensor.data_ptr() if tensor is not None else 0 for tensor in (weights, scales, shifts, bias)]
    return np.array([bits, inputs, outputs, blocks, *addresses, 0, min(PARTS, blocks)], np.int64)


def compiles(precision: str) -> bool:
    """Whether layers in `precision` are to be compiled ones: with AMX, only those that torch has no tiles for."""
    if not target() or precision == "fp32":
        return False
    if precision == "bf16":
        return not has_amx() and has_bf16() and "avx512" in target()
    return precision == "int8" or not has_amx()


class CompiledLinear(Linear):
    """Weights in 8 bits with a scale for each output, or in 4 with a step and a zero point for each 32 of an output's;
    inputs in 8 bits, with a scale for each row or for each 32. Takes and gives fp32.

    With AMX, small layers read many rows with bf16 weights, and give bf16 of those. The memory of both is little.

    Raises:
        ValueError: inputs are no multiple of 32: see `fits`.
    """

    def __init__(self, *weights: Tensor, bias: Tensor | None, bits: int) -> None:
        if not self.fits(weights[0]):
            raise ValueError(f"{weights[0].shape[1]} inputs are no multiple of {LEAST}")
        self.outputs, self.inputs, self._bits = sum(map(len, weights)), weights[0].shape[1], bits
        wide = lanes(target())
        self._padded = -(-self.outputs // wide) * wide
        self._bias = None
        if bias is not None:
            self._bias = torch.zeros(self._padded)
            self._bias[: self.outputs] = bias
        self._shifts = None
        (self._weights, self._scales), shifts = (_blocks_of_8 if bits == 8 else _blocks_of_4)(
            weights, self._padded, wide
        )
        self._shifts = shifts
        self.product = describe(bits, self.inputs, self.outputs, self._weights, self._scales, self._shifts, self._bias)
        _KEPT.append(self.product)
        self._many = None
        if (
            has_amx()
            and has_packed()
            and min(self.inputs, self.outputs) < NARROW
            and self.inputs * self.outputs < LARGE
        ):
            half = torch.bfloat16
            joined = torch.cat([weight.to(half) for weight in weights])
            self._many = PackedLinear(joined, bias.to(half) if bias is not None else None)
        self._size = 4 if bits == 8 else 12 * (self.inputs // GROUP)  # bytes of scales a row

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether a weight [out, in] can be laid out so, on this processor."""
        return bool(target()) and weight.device.type == "cpu" and weight.shape[1] % LEAST == 0

    def with_gelu(self) -> CompiledLinear:
        """The same layer and GELU's tanh approximation behind it."""
        self.product[AFTER // 8] = 1
        if self._many is not None:
            self._many.with_gelu()
        return self

    def __call__(self, x: Tensor) -> Tensor:
        if self._many is not None and len(x) > FEW:
            return self._many(x)
        y = torch.empty(len(x), self._padded)
        self._multiply(x, y, False)
        return y if self._padded == self.outputs else y.narrow(1, 0, self.outputs)

    def add_to(self, rows: Tensor, x: Tensor) -> Tensor:
        many = self._many is not None and len(x) > FEW
        if many or rows.dtype != torch.float32 or self._padded != self.outputs or not rows.is_contiguous():
            return rows.add_(self(x))
        self._multiply(x, rows, True)
        return rows

    def _multiply(self, x: Tensor, y: Tensor, add: bool) -> None:
        x = x.to(torch.float32).contiguous()
        room = -(-len(x) // TILE) * TILE
        rounded, scales = torch.empty(room * self.inputs, dtype=torch.int8), torch.empty(room * self._size // 4)
        machine().do(
            MULTIPLY,
            self.product.ctypes.data,
            x.data_ptr(),
            rounded.data_ptr(),
            scales.data_ptr(),
            y.data_ptr(),
            4 * self._padded,
            len(x),
            int(add),
        )


# What helpers may still look at when they come late to a job that is long done; a layer's is 80 bytes.
_KEPT: list[np.ndarray] = []


def rows_product(layer: RowsLinear) -> np.ndarray:
    """The product of a layer whose bf16 weights lie as they come; its bias becomes fp32, and is kept by the layer."""
    bias = layer.bias
    layer.wide_bias = bias.float() if bias is not None else None
    product = describe(16, layer.weight.shape[1], len(layer.weight), layer.weight, None, None, layer.wide_bias)
    product[AFTER // 8] = int(layer.bends)
    return product


def _blocks_of_8(weights: tuple[Tensor, ...], padded: int, wide: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """((levels, scales), shifts): int8 [blocks, in/4, lanes, 4], fp32 [out], and what a zero of 128 adds, int32."""
    scale_of = row_scale if "vnni" in target() else pair_scale
    inputs = weights[0].shape[1]
    levels = torch.zeros(padded // wide, inputs // 4, wide, 4, dtype=torch.int8)
    scales, shifts = torch.zeros(padded), torch.zeros(padded, dtype=torch.int32)
    done = 0
    for weight in weights:
        for some in weight.split(max(1, rows_at_a_time(weight))):
            scale = scale_of(some)
            rows = int8_levels(some, scale)
            scales[done : done + len(some)] = scale
            shifts[done : done + len(some)] = rows.sum(1, dtype=torch.int32).mul_(-128)
            _put(levels, rows, done, wide)
            done += len(some)
    return (levels, scales), shifts


def _put(levels: Tensor, rows: Tensor, first: int, wide: int) -> None:
    """Rows [n, in] from output `first` on, where they belong among blocks [blocks, in/4, lanes, 4]."""
    where = torch.arange(first, first + len(rows))
    levels[where // wide, :, where % wide] = rows.view(len(rows), -1, 4)


def _blocks_of_4(weights: tuple[Tensor, ...], padded: int, wide: int) -> tuple[tuple[Tensor, Tensor], None]:
    """((levels, steps), None): uint8 [blocks, groups, 4, 4·lanes], two fours of inputs in a byte's halves, and bf16
    [blocks, groups, 2, lanes], steps and zero points."""
    inputs = weights[0].shape[1]
    blocks, groups = padded // wide, inputs // GROUP
    packed = torch.zeros(blocks, groups, 4, 4 * wide, dtype=torch.uint8)
    steps = torch.zeros(blocks, groups, 2, wide, dtype=torch.bfloat16)
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    several = max(1, rows_at_a_time(weight) // wide) * wide
    for first in range(0, len(weight), several):
        some = weight[first : first + several].float()
        some = torch.nn.functional.pad(some, (0, 0, 0, -len(some) % wide))
        levels, step, zero = round_to_int4(some)
        block, count = first // wide, len(some) // wide
        fours = levels.to(torch.uint8).view(count, wide, groups, 4, 2, 4).permute(0, 2, 3, 4, 1, 5).flatten(4)
        packed[block : block + count] = fours[:, :, :, 0] | (fours[:, :, :, 1] << 4)
        for place, numbers in enumerate((step, zero)):
            steps[block : block + count, :, place] = numbers.view(count, wide, groups).transpose(1, 2)
    return (packed, steps), None
