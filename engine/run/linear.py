"""Linear layers in every precision: fp32, bf16, int8 and int4, each by the quickest operator that this torch has here.

Owns the choice. How weights are laid out and multiplied is `linear_half.py` and `linear_int.py`: plain classes and no
modules, for with one token at a time a module's calls and lookups add up. What is asked of the CPU is `processor.py`,
and which precision a model gets `device.py`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from engine.run.compiled.linear import CompiledLinear, compiles
from engine.run.linear_base import LARGE, NARROW, Linear, PlainLinear
from engine.run.linear_half import HalfLinear, NarrowLinear, PackedLinear, RowsLinear, has_half, has_packed, quick_rows
from engine.run.linear_int import Int4Linear, Int8Linear, has_int4, has_int8
from engine.run.processor import has_bf16
from engine.run.rounding import GROUP

Precision = Literal["fp32", "bf16", "int8", "int4"]


def make_linear(
    *weights: Tensor, bias: Tensor | None, dtype: torch.dtype, precision: Precision, within: Precision | None = None
) -> Linear:
    """A layer y = x·weightᵀ + bias in `dtype`: weight [out, in] in any precision, x [N, in] → y [N, out].

    Of several weights the outputs are one after the other. Layers that int4 would save little memory in are int8.
    `within`: the model's precision, if it is another.
    """
    compiled = compiles(within or precision)
    bias = bias.to(dtype) if bias is not None else None
    on_cpu, inputs = weights[0].device.type == "cpu", weights[0].shape[1]
    wide = min(inputs, sum(map(len, weights))) >= NARROW
    four = precision == "int4" and wide and (compiled or has_int4()) and inputs % GROUP == 0
    if (
        on_cpu
        and precision in ("int8", "int4")
        and compiled
        and dtype == torch.float32
        and CompiledLinear.fits(weights[0])
    ):
        return CompiledLinear(*weights, bias=bias, bits=4 if four else 8)
    if on_cpu and precision in ("int8", "int4") and has_int8() and not four:
        return Int8Linear(*weights, bias=bias, dtype=dtype)
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    if on_cpu:
        if four:
            return Int4Linear(weight, bias, dtype)
        if has_packed() and (dtype == torch.bfloat16 or (precision == "bf16" and has_bf16())):
            small = min(weight.shape) < NARROW and weight.numel() < 2 * LARGE
            half = weight.to(torch.bfloat16), bias.to(torch.bfloat16) if bias is not None else None
            if small and NarrowLinear.fits(weight) and not compiled:
                return NarrowLinear(*half)
            return RowsLinear(*half) if compiled or quick_rows() else PackedLinear(*half)
        if dtype == torch.float32 and precision == "bf16" and has_half() and HalfLinear.fits(weight):
            return HalfLinear(weight, bias)
    return PlainLinear(weight.to(dtype), bias)
