"""Rounding weights to 8 and 4 bits: levels, what a step of them is worth, and the weights that levels stand for."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

GROUP = 32  # weights that share a scale and a zero point in int4
PIECE = 2**19  # weights that are rounded at a time
PAD = 64  # outputs that torch's int4 kernel wants a multiple of


def int8_levels(weight: Tensor, scale: Tensor) -> Tensor:
    """`weight` [out, in] in steps of `scale` [out], int8; a few rows at a time, for a head in fp32 would be large."""
    levels = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    rows = rows_at_a_time(weight)
    for some, steps, into in zip(weight.split(rows), scale.split(rows), levels.split(rows), strict=True):
        into.copy_((some / steps[:, None]).round_())  # divided in fp32
    return levels


def rows_at_a_time(weight: Tensor) -> int:
    return max(1, PIECE // weight.shape[1])


def row_scale(weight: Tensor) -> Tensor:
    """What an int8 step is worth in each row of [out, in], fp32."""
    return torch.maximum(weight.amax(dim=1), -weight.amin(dim=1)).float().clamp(min=1e-10) / 127


def pair_scale(weight: Tensor) -> Tensor:
    """The same where two neighbours together must not pass 128 steps either: with 8-bit inputs, 2·64·255 < 2¹⁵.

    It is about 1.3 times as large for weights that are normally distributed; for 7-bit weights it would be twice.
    """
    even = weight.shape[1] // 2 * 2
    pairs = (weight[:, :even:2] + weight[:, 1:even:2]).abs().amax(dim=1)
    return torch.maximum(row_scale(weight), pairs.float() / 127)  # both may be rounded up: 128


def unpack_int4(packed: Tensor, scale_and_zero: Tensor) -> Tensor:
    """The weights that torch packed for AVX-512, [in, out] in bf16: 64 outputs lie together, 32 of them in low halves.

    packed: uint8 [out, in / 2]; scale_and_zero: bf16 [in / 32, out, 2].
    """
    blocks, inputs = len(packed) // PAD, 2 * packed.shape[1]
    halves = packed.view(blocks, inputs, PAD // 2).transpose(0, 1).contiguous()
    levels = torch.stack((halves & 15, halves >> 4), 2).view(-1, GROUP, blocks * PAD).to(torch.bfloat16).sub_(8)
    scale, zero = (part.contiguous().unsqueeze(1) for part in scale_and_zero.unbind(-1))
    return torch.addcmul(zero, levels, scale).view(inputs, -1)


@lru_cache(maxsize=1)
def int4_is_blocked() -> bool:
    """Whether torch packs int4 weights here as `unpack_int4` takes it; other processors have other orders."""
    random = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 16, (2 * PAD, GROUP), generator=random, dtype=torch.int32)
    steps = torch.tensor([1.0, 0.0], dtype=torch.bfloat16).expand(1, 2 * PAD, 2)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
    return torch.equal(unpack_int4(packed, steps), (levels.t() - 8).to(torch.bfloat16))


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
