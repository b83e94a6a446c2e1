"""Attention for running: one projection in, queries and keys normed and turned together, and of the ways to attend the
quickest for what there is: one token or many, over a folded cache or not, with AMX or without.

Shapes: N = B·T rows (batch, new tokens), S tokens so far, H query heads, K key/value heads, D head size, C width.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.decoder.kv_cache import LayerCache
from engine.decoder.layers import Attention, RMSNorm, Rope, attend
from engine.decoder.rope import rotate
from engine.run.bags import KEPT, AttentionBags, attend_in_bags, attention_bags
from engine.run.compiled.linear import CompiledLinear
from engine.run.joined import join, of
from engine.run.linear import Precision
from engine.run.linear_base import FEW
from engine.run.linear_half import PackedLinear, RowsLinear, has_packed
from engine.run.linear_int import Int8Linear
from engine.run.processor import has_amx
from engine.run.quick_norms import FullRMSNorm

LARGEST_SCORES = 2**26  # q·k in memory at once; above, a kernel that needs no such memory is used


class FusedAttention:
    """`Attention` with one projection in, and queries and keys normed and turned as one tensor.

    On a CPU the pairs that RoPE turns, (i, i + D/2), are made neighbours once, by reordering the rows of projections.
    Turning is then one multiplication of complex numbers, and q·k is the same in any order.
    """

    def __init__(self, plain: Attention, dtype: torch.dtype, precision: Precision) -> None:
        self.n_head, self.n_kv_head, self.head_dim = plain.n_head, plain.n_kv_head, plain.head_dim
        self.window, self._dtype = plain.window, dtype
        self._turned = self.n_head + self.n_kv_head
        self._grouped = (-1, self.n_kv_head, self.n_head // self.n_kv_head, self.head_dim)
        self._on_cpu = plain.q.weight.device.type == "cpu"
        self._rounded = precision != "fp32" and self._on_cpu and has_packed()
        self._tiles = self._rounded and has_amx()
        order = torch.arange(self.head_dim, device=plain.q.weight.device)
        if order.device.type == "cpu":
            order = order.view(2, -1).t().reshape(-1)  # 0, D/2, 1, D/2 + 1, …
        normed = isinstance(plain.q_norm, RMSNorm) and isinstance(plain.k_norm, RMSNorm)
        # What scores are multiplied by goes into the queries, where nothing is rounded by that.
        scale = plain.scale or self.head_dim**-0.5
        within = scale if normed or math.frexp(scale)[0] == 0.5 else 1.0
        self.scale = scale / within
        qkv = [(_by_head(layer.weight, order), _by_head(layer.bias, order)) for layer in (plain.q, plain.k)]
        if within != 1 and not normed:
            qkv[0] = tuple(rows * within if rows is not None else None for rows in qkv[0])  # type: ignore[assignment]
        self.qkv = join(dtype, precision, *qkv, *of(plain.v))
        self.out = join(dtype, precision, *of(plain.out))
        self.linears = self.qkv, self.out
        self.norms: tuple[FullRMSNorm, FullRMSNorm] | None = None  # of heads, for several tokens and for one
        if isinstance(plain.q_norm, RMSNorm) and isinstance(plain.k_norm, RMSNorm):
            q, k = plain.q_norm.weight[order].float() * within, plain.k_norm.weight[order].float()
            weight, eps = torch.cat([q.expand(self.n_head, -1), k.expand(self.n_kv_head, -1)]), plain.q_norm.eps
            self.norms = FullRMSNorm(weight, eps), FullRMSNorm(weight.unsqueeze(1), eps)

    def project(self, x: Tensor, batch: int, rope: Rope | Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, D], keys and values [B, K, T, D] of `x` [N, C]; a head's order is its own."""
        rows, length, turned = self.qkv(x), x.shape[0] // batch, self._turned
        one = length == 1  # then heads can stand where they belong without being moved there
        shape = (batch, turned + self.n_kv_head, 1, -1) if one else (batch, length, turned + self.n_kv_head, -1)
        heads = rows.view(shape)
        dim = 1 if one else 2
        qk, v = heads.split_with_sizes((turned, self.n_kv_head), dim)
        if rope is not None and qk.dtype != torch.float32:
            qk = qk.float()
        if self.norms is not None:
            qk = self.norms[one](qk)
        if rope is not None:
            qk = turn(qk, rope)
        if not one:
            qk, v = qk.transpose(1, 2), v.transpose(1, 2)
        q, k = qk.split_with_sizes((self.n_head, self.n_kv_head), 1)
        return q, k, v

    def __call__(
        self, x: Tensor, batch: int, rope: Rope | Tensor | None, cache: LayerCache | None, mask: Tensor | None
    ) -> Tensor:
        """[N, C] → [N, H·D]: as `Attention.forward`, but for the projection `out`, which the block adds to its rows."""
        q, k, v = self.project(x, batch, rope)
        length = x.shape[0] // batch
        if cache is None:
            kept = torch.bfloat16 if self._tiles else k.dtype
            k, v = k.to(kept), v.to(kept)
        elif not cache.folded:
            k, v = cache.append(k, v)
        else:
            tables = cache.append(k, v)
            if length <= FEW:
                return self._leave(self._in_bags(q, tables, batch, length, cache, mask))
            # Perhaps what is read is all there is.
            k, v = cache.everything() if cache.length > length else (k, v.to(k.dtype))
        if length == 1:
            q = q.view(self._grouped)
            y = attend_one(q if q.dtype == k.dtype else q.to(k.dtype), k, v, self.scale, self.window, mask)
            return self._leave(y.flatten(1))
        small = self.n_head * batch * length * k.shape[2] <= LARGEST_SCORES
        if mask is None and self._on_cpu and (length <= FEW or (self._tiles and small)):
            if self._tiles:
                k, v = k.to(torch.bfloat16), v.to(torch.bfloat16)
            y = attend_grouped(q, as_rows(k), v, self.scale, self.window)
        elif self._rounded and small and not self._tiles:
            y = attend_many(q, k, v, self.scale, self.window, mask)
        else:
            y = attend(q if q.dtype == k.dtype else q.to(k.dtype), as_rows(k), v, self.scale, self.window, mask)
        return self._leave(y.transpose(1, 2).reshape(x.shape[0], -1))

    def _in_bags(
        self,
        q: Tensor,
        tables: tuple[Tensor, Tensor],
        batch: int,
        length: int,
        cache: LayerCache,
        mask: Tensor | None,
    ) -> Tensor:
        """`attend_in_bags` for a few tokens, [N, H·D]."""
        bags: AttentionBags | None = cache.bags
        if bags is None:
            first = max(0, cache.length - self.window - length + 1) if self.window else 0
            heads, group = batch * self.n_head, self.n_head // self.n_kv_head
            room = cache.k.shape[2]
            bags = attention_bags(heads, group, length, self.head_dim, room, first, cache.length)
        hidden = None
        if mask is not None:
            hidden = _hidden_by(mask, self.n_head, self.window, KEPT).flatten(0, 1)[:, -bags.count :]
        elif length > 1:
            hidden = _hidden(length, cache.length, self.window, batch * self.n_head, KEPT)[:, -bags.count :]
        y = attend_in_bags(q, tables, bags, self.scale, hidden)
        if length == 1:
            return y.view(batch, self.n_head * self.head_dim)
        return y.view(batch, self.n_head, length, -1).transpose(1, 2).reshape(batch * length, -1)

    def _leave(self, y: Tensor) -> Tensor:
        """[N, H·D] as `out` takes it."""
        takes_all = isinstance(self.out, CompiledLinear | Int8Linear | PackedLinear | RowsLinear)
        as_it_is = takes_all or y.dtype == self._dtype
        return y if as_it_is else y.to(self._dtype)


def attend_one(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int, mask: Tensor | None) -> Tensor:
    """`layers.attend` for one token, [B, K, H/K, D]: a group's query heads stand where tokens stand."""
    if window and k.shape[2] > window:
        k, v = k[:, :, -window:], v[:, :, -window:]
        mask = mask[..., -window:] if mask is not None else None
    if mask is None and k.device.type == "cpu":  # F.sdpa would come to the same, after 3 µs of choosing
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default(q, k, v, 0.0, False, scale=scale)[0]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def attend_grouped(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
    """`layers.attend` where a group's query heads stand where tokens stand, so k and v need no copies.

    For a few tokens this is the quickest on all CPUs; over a bf16 cache, for as many as there are with AMX.
    """
    (batch, n_head, length, head_dim), (n_kv_head, total) = q.shape, k.shape[1:3]
    hidden = _hidden(length, total, window, n_head // n_kv_head, k.dtype)
    grouped = q.to(k.dtype).reshape(batch, n_kv_head, -1, head_dim)
    y = F.scaled_dot_product_attention(grouped, k, v, attn_mask=hidden, scale=scale)
    return y.reshape(q.shape)


def attend_many(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int, mask: Tensor | None) -> Tensor:
    """`layers.attend` by plain matrix products in bf16: without AMX, twice as fast as the fused kernel when reading.

    A group's query heads stand where tokens stand. The scores of all are in memory at once, [B·K, H/K·T, S] in bf16.
    """
    (batch, n_head, length, head_dim), (n_kv_head, total) = q.shape, k.shape[1:3]
    first = max(0, total - window - length + 1) if window else 0  # no query sees further back than this
    group, alike = n_head // n_kv_head, batch * n_kv_head
    k, v = (x[:, :, first:].to(torch.bfloat16).flatten(0, 1) for x in (k, v))
    if mask is None:
        hidden = _hidden(length, total, window, group)[:, first:].expand(alike, -1, -1)
    else:  # it says all that may be seen, which need not be what stands before
        hidden = _hidden_by(mask, n_head, window, torch.bfloat16)[..., first:].reshape(alike, group * length, -1)
    q = q.to(torch.bfloat16).reshape(alike, group * length, head_dim)
    scores = torch.baddbmm(hidden, q, k.transpose(1, 2), alpha=scale)
    return torch.bmm(scores.softmax(-1), v).view(batch, n_head, length, head_dim)


def as_rows(k: Tensor) -> Tensor:
    """`k` with each key in one piece, which torch's fused kernel wants: otherwise it takes another, without a word."""
    return k if k.stride(-1) == 1 else k.contiguous()


@lru_cache(maxsize=4)
def _hidden(length: int, total: int, window: int, times: int = 1, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """-∞ where the last `length` of `total` positions may not look, 0 elsewhere: [T, S], `times` below each other."""
    seen = torch.ones(length, total, dtype=torch.bool).tril(total - length)
    if window:
        seen = seen.triu(total - length - window + 1)
    return torch.zeros(length, total, dtype=dtype).masked_fill_(~seen, -torch.inf).repeat(times, 1)


def _hidden_by(mask: Tensor, n_head: int, window: int, dtype: torch.dtype) -> Tensor:
    """-∞ where `mask` [B, 1, T, S] or a window hides, 0 elsewhere: [B·H, T, S]."""
    length, total = mask.shape[2:]
    seen = mask.triu(total - length - window + 1) if window else mask
    hidden = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
    return hidden.expand(-1, n_head, -1, -1).reshape(-1, length, total)


def turn(x: Tensor, rope: Rope | Tensor) -> Tensor:
    """RoPE on [B, heads, 1, D] or [B, T, heads, D], by complex factors [(B,) T, 1, D/2] for neighbours or by tables.

    With factors it is written over `x`.
    """
    if isinstance(rope, Tensor):
        # No shapes are asked for: a recording would ask each time.
        torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(rope)
        return x
    return rotate(x, *rope)


def _by_head(rows: Tensor | None, order: Tensor) -> Tensor | None:
    """`rows` [heads·D, …] with those of each head in `order` [D]."""
    if rows is None:
        return None
    return rows.detach().view(-1, len(order), *rows.shape[1:])[:, order].reshape(rows.shape)
