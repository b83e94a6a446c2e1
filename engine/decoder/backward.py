"""Attention and norm for a CPU that has to go back through them: the same formulas, in other steps than torch's.

Torch's own kernels are made for going forward. Back through its attention it takes two to six times as long in bf16 as
multiplying texts of up to 512 tokens out, and through its RMSNorm, which is nine operations, three times as long as
through one with a gradient of its own (training/LOG.md, 2026-12-01). Where a step is compiled the compiler does that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LONGEST = {torch.bfloat16: 512, torch.float32: 128}  # tokens of a text whose attention is multiplied out
QUERIES = 128  # so many at a time: a text's first queries need not be multiplied by its last keys


def multiplies_out(q: Tensor, k: Tensor) -> bool:
    """Whether attention of `q` [B, H, T, D] over `k` [B, K, S, D] is quicker by `multiplied_out`."""
    wanted = q.requires_grad and q.device.type == "cpu" and q.shape[2] > 1
    return wanted and max(q.shape[2], k.shape[2]) <= LONGEST.get(q.dtype, 0)


def multiplied_out(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, window: int = 0, mask: Tensor | None = None
) -> Tensor:
    """`layers.attend` where a group's query heads share keys and values without copies. Without a mask T must be S."""
    batch, n_head, length, head_dim = q.shape
    n_kv_head, parts = k.shape[1], []
    mask = mask.expand(*mask.shape[:-2], length, -1) if mask is not None else None
    q = q * (head_dim**-0.5 if scale is None else scale)
    for start in range(0, length, QUERIES):
        end = min(start + QUERIES, length)
        total = k.shape[2] if mask is not None else end  # without a mask nobody looks ahead
        seen = mask[..., start:end, :] if mask is not None else up_to_own(end - start, total, q.device)
        if window:
            seen = seen.triu(start - window + 1)
        # Not by minus infinity, which would be no number where padding sees nothing at all.
        hidden = q.new_zeros(seen.shape).masked_fill(~seen, torch.finfo(q.dtype).min / 2)
        scores = q[:, :, start:end].reshape(batch, n_kv_head, -1, head_dim) @ k[:, :, :total].transpose(-1, -2)
        weights = (scores.view(batch, n_head, end - start, total) + hidden).softmax(-1).to(v.dtype)
        grouped = weights.view(batch, n_kv_head, -1, total) @ v[:, :, :total]
        parts.append(grouped.view(batch, n_head, end - start, head_dim))
    return torch.cat(parts, dim=2)


def up_to_own(length: int, total: int, device: torch.device) -> Tensor:
    """bool [length, total]: which of `total` positions each of the last `length` sees: all up to its own."""
    return torch.ones(length, total, dtype=torch.bool, device=device).tril(total - length)


def norms_itself(x: Tensor) -> bool:
    """Whether `RMSNormed` is quicker for `x` than what torch has."""
    return x.requires_grad and x.device.type == "cpu" and not torch.compiler.is_compiling()


class RMSNormed(torch.autograd.Function):
    """`x` [..., C] over its root mean square, times `weight` [C]; in fp32 within, in the type of `x` outside.

    With r = 1/√(mean(x²) + eps) and the gradient g of the result, that of x is r·(g·w − x·r²·mean(g·w·x)) and that of
    the weight the sum of g·x·r over all rows.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        rate = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, rate)
        return (wide * rate).mul_(weight).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, rate = ctx.saved_tensors
        wide, gradient, width = x.float(), gradients[0].float(), x.shape[-1]
        along = (gradient * wide).reshape(-1, width)
        of_weight = (rate.reshape(1, -1) @ along).view(width)
        mean = (along @ weight.float()).view(rate.shape) / width
        of_x = (gradient * weight).mul_(rate).addcmul_(wide, mean * rate**3, value=-1)
        return of_x.to(x.dtype), of_weight.to(weight.dtype), None
