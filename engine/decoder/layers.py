"""The layers every decoder here is made of: norms, rotary positions, attention, feed-forward, block.

Shapes in comments: B batch, T new tokens, S tokens so far (cache included), H query heads, K key/value heads,
D head size, C model width.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.backward import RMSNormed, multiplied_out, multiplies_out, norms_itself, up_to_own
from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import LayerCache
from engine.decoder.rope import rotate

Rope = tuple[Tensor, Tensor]  # cosines and sines, [T, D] each, or [B, 1, T, D] where rows differ


class Linear(nn.Linear):
    """`nn.Linear` whose weights start as whatever is in memory: they are loaded, or set by `init_weights`."""

    def reset_parameters(self) -> None:
        """Nothing: the usual random start costs more than loading a model, and on no memory at all 70 MB of imports."""


class Embedding(nn.Embedding):
    """`nn.Embedding` in the same way."""

    def reset_parameters(self) -> None:
        """Nothing, as above."""


class RMSNorm(nn.Module):
    """Scale to unit root mean square over the last dimension (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if norms_itself(x):
            return cast(Tensor, RMSNormed.apply(x, self.weight, self.eps))
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` whose weights start as nothing in particular."""

    def reset_parameters(self) -> None:
        """Nothing, as above."""


def make_norm(config: GPTConfig, width: int) -> nn.Module:
    """RMSNorm or LayerNorm (Ba et al. 2016) over the last dimension, `width` wide."""
    if config.norm == "rms":
        return RMSNorm(width, config.norm_eps)
    return LayerNorm(width, eps=config.norm_eps)


class Attention(nn.Module):
    """Causal self-attention with grouped queries (Ainslie et al. 2023) and, where configured, normed q and k."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.n_kv_head, config.head_dim
        self.scale, self.window = config.attention_scale or None, config.window_of(layer)
        width, kv_width = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
        self.q = Linear(config.d_model, width, bias=config.attention_bias)
        self.k = Linear(config.d_model, kv_width, bias=config.attention_bias)
        self.v = Linear(config.d_model, kv_width, bias=config.attention_bias)
        self.out = Linear(width, config.d_model, bias=config.output_bias)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def project(self, x: Tensor, rope: Rope | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, D], keys and values [B, K, T, D] of `x` [B, T, C], normed and turned."""
        batch, length, _ = x.shape
        q = self.q_norm(self.q(x).view(batch, length, self.n_head, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(batch, length, self.n_kv_head, self.head_dim)).transpose(1, 2)
        v = self.v(x).view(batch, length, self.n_kv_head, self.head_dim).transpose(1, 2)
        if rope is not None:
            q, k = rotate(q, *rope).to(v.dtype), rotate(k, *rope).to(v.dtype)
        return q, k, v

    def forward(self, x: Tensor, rope: Rope | None, cache: LayerCache | None, mask: Tensor | None = None) -> Tensor:
        """[B, T, C] → [B, T, C]; `rope` are the tables' rows of these T positions, None for learned positions."""
        q, k, v = self.project(x, rope)
        if cache is not None:
            k, v = cache.append(k, v)  # B K S D
        y = attend(q.to(k.dtype), k, v, self.scale, self.window, mask)
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], -1).to(x.dtype))


def attend(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, window: int = 0, mask: Tensor | None = None
) -> Tensor:
    """[B, H, T, D] queries over [B, K, S, D] keys and values: the T queries are the last T of S positions.

    `scale` is what q·k is multiplied by (None: 1/√D); with `window` a query sees so many positions, its own included.
    `mask` [B, 1, T, S] says which positions a query sees; None: all up to its own.
    """
    batch, n_head, length, head_dim = q.shape
    if window and k.shape[2] > window + length - 1:  # no query sees further back than this
        k, v = k[:, :, -(window + length - 1) :], v[:, :, -(window + length - 1) :]
        mask = mask[..., -(window + length - 1) :] if mask is not None else None
    n_kv_head, total = k.shape[1], k.shape[2]
    if length == total and multiplies_out(q, k):
        return multiplied_out(q, k, v, scale, window, mask)
    if length == 1:
        # One query sees everything, so a group's query heads can stand where T stands: no copies of k and v.
        grouped = q.reshape(batch, n_kv_head, -1, head_dim)
        y = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask, scale=scale)
        return y.reshape(batch, n_head, 1, head_dim)
    if n_head != n_kv_head:
        repeat = n_head // n_kv_head
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    if mask is None and length == total and not (window and total > window):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    if mask is None:
        mask = up_to_own(length, total, q.device)
    if window:
        mask = mask.triu(total - length - window + 1)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


class SwiGLU(nn.Module):
    """Gated feed-forward (Shazeer 2020): down(silu(gate(x)) · up(x))."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gate = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.up = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activate(self.gate(x)) * self.up(x))

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        return F.silu(x)


class GeGLU(SwiGLU):
    """The same with GELU's tanh approximation for a gate (Gemma)."""

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")


class GELU(nn.Module):
    """Plain feed-forward, down(gelu(up(x))), with GPT-2's tanh approximation of GELU (Hendrycks & Gimpel 2016)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down = Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.activate(self.up(x)))

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        return F.gelu(x, approximate="tanh")


class ReLUSquared(GELU):
    """The same with relu(x)² (So et al. 2021)."""

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        return F.relu(x).square()


FEED_FORWARD = {"swiglu": SwiGLU, "geglu": GeGLU, "gelu": GELU, "relu2": ReLUSquared}


class Block(nn.Module):
    """Pre-norm transformer block: attention, then feed-forward, each added to the residual stream."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.d_model)
        self.attention = Attention(config, layer)
        self.attention_post_norm = make_norm(config, config.d_model) if config.post_norms else nn.Identity()
        self.mlp_norm = make_norm(config, config.d_model)
        self.mlp = FEED_FORWARD[config.mlp](config)
        self.mlp_post_norm = make_norm(config, config.d_model) if config.post_norms else nn.Identity()

    def forward(self, x: Tensor, rope: Rope | None, cache: LayerCache | None, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention_post_norm(self.attention(self.attention_norm(x), rope, cache, mask))
        return x + self.mlp_post_norm(self.mlp(self.mlp_norm(x)))
