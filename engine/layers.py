"""The layers every decoder here is made of: norms, rotary positions, attention, feed-forward, block.

Shapes in comments: B batch, T new tokens, S tokens so far (cache included), H query heads, K key/value heads,
D head size, C model width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config import GPTConfig
from engine.kv_cache import LayerCache


class RMSNorm(nn.Module):
    """Scale to unit root mean square over the last dimension (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


def make_norm(config: GPTConfig, width: int) -> nn.Module:
    """RMSNorm or LayerNorm (Ba et al. 2016) over the last dimension, `width` wide."""
    if config.norm == "rms":
        return RMSNorm(width, config.norm_eps)
    return nn.LayerNorm(width, eps=config.norm_eps)


def rope_tables(config: GPTConfig, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary position embedding (Su et al. 2021), each [context_length, D], fp32."""
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device)
    frequency = config.rope_theta ** (-half / config.head_dim)  # D/2, radians a token
    angle = torch.outer(torch.arange(config.context_length, dtype=torch.float32, device=device), frequency)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) of `x` [B, heads, T, D] by its position's angle; cos and sin are [T, D]."""
    left, right = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat((-right, left), dim=-1), sin)


class Attention(nn.Module):
    """Causal self-attention with grouped queries (Ainslie et al. 2023) and, where configured, normed q and k."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.n_kv_head, config.head_dim
        width, kv_width = config.n_head * config.head_dim, config.n_kv_head * config.head_dim
        self.q = nn.Linear(config.d_model, width, bias=config.attention_bias)
        self.k = nn.Linear(config.d_model, kv_width, bias=config.attention_bias)
        self.v = nn.Linear(config.d_model, kv_width, bias=config.attention_bias)
        self.out = nn.Linear(width, config.d_model, bias=config.output_bias)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else nn.Identity()

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor] | None, cache: LayerCache | None) -> Tensor:
        """[B, T, C] → [B, T, C]; `rope` are the tables' rows of these T positions, None for learned positions."""
        batch, length, _ = x.shape
        q = self.q_norm(self.q(x).view(batch, length, self.n_head, self.head_dim)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(batch, length, self.n_kv_head, self.head_dim)).transpose(1, 2)
        v = self.v(x).view(batch, length, self.n_kv_head, self.head_dim).transpose(1, 2)
        if rope is not None:
            q, k = rotate(q, *rope).to(v.dtype), rotate(k, *rope).to(v.dtype)
        if cache is not None:
            k, v = cache.append(k, v)  # B K S D
        y = attend(q, k, v)
        return self.out(y.transpose(1, 2).reshape(batch, length, -1))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[B, H, T, D] queries over [B, K, S, D] keys and values: the T queries are the last T of S positions."""
    batch, n_head, length, head_dim = q.shape
    n_kv_head, total = k.shape[1], k.shape[2]
    if length == 1:
        # One query sees everything, so a group's query heads can stand where T stands: no copies of k and v.
        grouped = q.reshape(batch, n_kv_head, -1, head_dim)
        return F.scaled_dot_product_attention(grouped, k, v).reshape(batch, n_head, 1, head_dim)
    if n_head != n_kv_head:
        repeat = n_head // n_kv_head
        k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    if length == total:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = torch.ones(length, total, dtype=torch.bool, device=q.device).tril(total - length)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


class SwiGLU(nn.Module):
    """Gated feed-forward (Shazeer 2020): down(silu(gate(x)) · up(x))."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.up = nn.Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GELU(nn.Module):
    """Feed-forward with GPT-2's tanh approximation of GELU (Hendrycks & Gimpel 2016)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.d_model, config.d_ff, bias=config.mlp_bias)
        self.down = nn.Linear(config.d_ff, config.d_model, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then feed-forward, each added to the residual stream."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.d_model)
        self.attention = Attention(config)
        self.mlp_norm = make_norm(config, config.d_model)
        self.mlp = SwiGLU(config) if config.mlp == "swiglu" else GELU(config)

    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor] | None, cache: LayerCache | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rope, cache)
        return x + self.mlp(self.mlp_norm(x))
