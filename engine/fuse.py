"""Making a model quick to run: the same layers in fewer, larger steps.

With one token at a time a small model spends most of its time between the multiplications. So projections of the same
input become one, queries and keys are normed and turned together, and weights are laid out for the precision they run
in (linear.py). The numbers stay the same up to rounding; the parameters' names do not: a fused model is for running,
not for saving.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kv_cache import LayerCache
from engine.layers import GELU, Attention, RMSNorm, Rope, SwiGLU, attend
from engine.linear import Linear, Precision, make_linear
from engine.model import GPT
from engine.rope import rotate
from engine.stored import Stored


def fuse(model: GPT, precision: Precision | None = None) -> GPT:
    """Swap a filled `model`'s layers in place and return it; fusing twice changes nothing more.

    `precision` None keeps the one its weights have. To load a model from files straight into this form, without ever
    having it in memory twice, see `weights.fill_fused`.
    """
    if model.fused:
        return model
    count, dtype = model.parameter_count(), model.dtype
    precision = precision or ("bf16" if dtype == torch.bfloat16 else "fp32")
    blocks = [FusedBlock(block, dtype, precision) for block in model.blocks]
    table = model.embedding.weight.detach()
    fuse_ends(model, blocks, Stored(tuple(table.shape), lambda: table), dtype, precision)
    model.fused, model.counted = True, count
    return model


def fuse_ends(
    model: GPT, blocks: list[FusedBlock], embedding: Stored, dtype: torch.dtype, precision: Precision
) -> None:
    """Put `blocks` into `model`, and fuse what is before and behind them: embedding, last norm, head."""
    norm, head, positions = _quick_norm(model.norm, dtype), model.head, model.positions
    del model.blocks, model.norm
    model.blocks, model.norm = blocks, norm  # type: ignore[assignment]
    if positions is not None:
        positions.weight.data = positions.weight.data.to(dtype)
    on_cpu = model.norm.weight.device.type == "cpu"
    table = embedding.read() if on_cpu else model.embedding.weight.detach()
    matrix = head.weight.detach() if isinstance(head, nn.Linear) else table
    bias = head.bias if isinstance(head, nn.Linear) else None
    del model.head
    model.head = make_linear(matrix, bias, dtype, precision)  # type: ignore[assignment]
    if on_cpu:
        del model.embedding
        model.embedding = RowLookup(embedding, dtype)  # type: ignore[assignment]


class RowLookup:
    """An embedding whose table stays in its mapped file: a token touches one row, and only that row is read."""

    def __init__(self, table: Stored, dtype: torch.dtype) -> None:
        self._rows, self._dtype = table.rows, dtype

    def __call__(self, tokens: Tensor) -> Tensor:
        return self._rows(tokens).to(self._dtype)


# The layers below are plain classes and no modules: for one token at a time, a module's calls and lookups add up.


class FusedBlock:
    """`Block` out of fused layers."""

    def __init__(self, plain: Any, dtype: torch.dtype, precision: Precision) -> None:
        self.attention_norm, self.mlp_norm = (
            _quick_norm(plain.attention_norm, dtype),
            _quick_norm(plain.mlp_norm, dtype),
        )
        self.attention = FusedAttention(plain.attention, dtype, precision)
        self.mlp = (FusedGELU if isinstance(plain.mlp, GELU) else FusedGate)(plain.mlp, dtype, precision)
        self.attention_post_norm = _quick_norm(plain.attention_post_norm, dtype)
        self.mlp_post_norm = _quick_norm(plain.mlp_post_norm, dtype)
        self._post = not isinstance(plain.mlp_post_norm, nn.Identity)

    def __call__(self, x: Tensor, rope: Rope | None, cache: LayerCache | None, mask: Tensor | None = None) -> Tensor:
        if self._post:
            x = x + self.attention_post_norm(self.attention(self.attention_norm(x), rope, cache, mask))
            return x + self.mlp_post_norm(self.mlp(self.mlp_norm(x)))
        x = x + self.attention(self.attention_norm(x), rope, cache, mask)
        return x + self.mlp(self.mlp_norm(x))


class QuickRMSNorm:
    """RMSNorm as the LayerNorm of (x, -x), whose mean is 0 and whose variance is x's mean square.

    LayerNorm is one kernel on a CPU where RMSNorm is six. `weight` is [..., C], a vector or one for each head.
    """

    def __init__(self, weight: Tensor, eps: float) -> None:
        self.width, self.eps = weight.shape[-1], eps
        self.scale = torch.cat((weight, weight)).detach() if weight.dim() == 1 else None
        self.weight = weight.detach()

    def __call__(self, x: Tensor) -> Tensor:
        y = F.layer_norm(torch.cat((x, -x), dim=-1), (2 * self.width,), self.scale, None, self.eps)[..., : self.width]
        return y if self.scale is not None else y * self.weight


class FusedAttention:
    """`Attention` with one projection in, and queries and keys normed and turned as one tensor."""

    def __init__(self, plain: Attention, dtype: torch.dtype, precision: Precision) -> None:
        self.n_head, self.n_kv_head, self.head_dim = plain.n_head, plain.n_kv_head, plain.head_dim
        self.scale, self.window = plain.scale, plain.window
        self.qkv, self.out = _join(dtype, precision, plain.q, plain.k, plain.v), _join(dtype, precision, plain.out)
        self.norm: QuickRMSNorm | None = None
        if isinstance(plain.q_norm, RMSNorm) and isinstance(plain.k_norm, RMSNorm):
            q, k = plain.q_norm.weight, plain.k_norm.weight
            weight = torch.cat([q.expand(self.n_head, -1), k.expand(self.n_kv_head, -1)]).to(dtype)  # [H + K, D]
            self.norm = QuickRMSNorm(weight, plain.q_norm.eps)

    def __call__(self, x: Tensor, rope: Rope | None, cache: LayerCache | None, mask: Tensor | None = None) -> Tensor:
        """[B, T, C] → [B, T, C], as `Attention.forward`."""
        batch, length, _ = x.shape
        turned = self.n_head + self.n_kv_head
        heads = self.qkv(x).view(batch, length, turned + self.n_kv_head, self.head_dim)
        qk, v = heads[:, :, :turned], heads[:, :, turned:].transpose(1, 2)
        qk = (self.norm(qk) if self.norm is not None else qk).transpose(1, 2)
        if rope is not None:
            qk = rotate(qk, *rope)
        q, k = qk.split((self.n_head, self.n_kv_head), 1)
        k, v = cache.append(k, v) if cache is not None else (k.to(v.dtype), v)
        y = attend(q.to(k.dtype), k, v, self.scale, self.window, mask)
        return self.out(y.transpose(1, 2).reshape(batch, length, -1).to(x.dtype))


class FusedGate:
    """`SwiGLU` or `GeGLU` with one projection in."""

    def __init__(self, plain: SwiGLU, dtype: torch.dtype, precision: Precision) -> None:
        self.gate_up, self.down = _join(dtype, precision, plain.gate, plain.up), _join(dtype, precision, plain.down)
        self.activate = plain.activate

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(self.activate(gate) * up)


class FusedGELU:
    """`GELU` with weights laid out for their precision."""

    def __init__(self, plain: GELU, dtype: torch.dtype, precision: Precision) -> None:
        self.up, self.down = _join(dtype, precision, plain.up), _join(dtype, precision, plain.down)

    def __call__(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))


def _quick_norm(norm: nn.Module, dtype: torch.dtype) -> nn.Module | QuickRMSNorm:
    return QuickRMSNorm(norm.weight.to(dtype), norm.eps) if isinstance(norm, RMSNorm) else norm.to(dtype)


def _join(dtype: torch.dtype, precision: Precision, *layers: nn.Linear) -> Linear:
    """One layer that computes what `layers` do, their outputs one after the other."""
    weight = torch.cat([layer.weight for layer in layers]) if len(layers) > 1 else layers[0].weight
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    return make_linear(weight.detach(), torch.cat(biases) if biases else None, dtype, precision)
