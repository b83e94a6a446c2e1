"""Making a loaded model quick to run: `fuse` swaps its layers for ones that do the same with fewer, larger steps.

With one token at a time a small model spends most of its time between the multiplications. So projections of the same
input become one, queries and keys are normed and turned together, and CPU weights are packed for bf16. The numbers stay
the same up to rounding; the parameters' names do not: a fused model is for running, not for saving.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.kv_cache import LayerCache
from engine.layers import GELU, Attention, RMSNorm, SwiGLU, attend, rotate
from engine.model import GPT


def fuse(model: GPT, *, int8: bool = False) -> GPT:
    """Swap `model`'s layers in place and return it; fusing twice changes nothing more.

    With `int8` the weights are rounded as well, where this machine can use that (a CPU, weights in bf16).
    """
    if model.fused:
        return model
    count = model.parameter_count()
    blocks, norm = [FusedBlock(block, int8) for block in model.blocks], _quick_norm(model.norm)
    del model.blocks, model.norm
    model.blocks, model.norm = blocks, norm  # type: ignore[assignment]
    if _packs(model.embedding.weight):
        # A copy of tied weights: the embedding is looked up row by row, the head is multiplied.
        head = model.head.weight if isinstance(model.head, nn.Linear) else model.embedding.weight
        del model.head
        model.head = (Int8Linear if int8 else PackedLinear)(head.detach(), None)  # type: ignore[assignment]
    model.fused, model.counted = True, count
    return model


# The layers below are plain classes and no modules: for one token at a time, a module's calls and lookups add up.


class FusedBlock:
    """`Block` out of fused layers."""

    def __init__(self, plain: Any, int8: bool) -> None:
        self.attention_norm, self.mlp_norm = _quick_norm(plain.attention_norm), _quick_norm(plain.mlp_norm)
        self.attention = FusedAttention(plain.attention, int8)
        self.mlp = (FusedSwiGLU if isinstance(plain.mlp, SwiGLU) else FusedGELU)(plain.mlp, int8)

    def __call__(self, x: Tensor, rope: tuple[Tensor, Tensor] | None, cache: LayerCache | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rope, cache)
        return x + self.mlp(self.mlp_norm(x))


class PackedLinear:
    """A linear layer whose bf16 weights lie in the order that oneDNN's kernels read them in.

    Packed once instead of at every call, this is twice as fast as `F.linear` for one token at a time.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.bias = bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, 1)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # choosing the overload at every call costs 4 µs

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x, self._packed, self.bias, "none", [], "")


class Int8Linear:
    """Weights rounded to int8 with one scale for each output, activations as they are (bf16).

    A token's time is spent reading weights, and these are half as many bytes. Many tokens at once are multiplied by the
    packed bf16 weights, which the int8 kernel is not made for: the memory of both is the price.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._many = PackedLinear(weight, bias)
        scale = weight.float().abs().amax(dim=1).clamp(min=1e-8) / 127
        self._weight = (weight.float() / scale[:, None]).round().to(torch.int8)
        self._scale, self._bias, self._width = scale.to(weight.dtype), bias, weight.shape[1]
        self._multiply = torch.ops.aten._weight_int8pack_mm.default

    def __call__(self, x: Tensor) -> Tensor:
        if x.numel() > self._width:
            return self._many(x)
        y = self._multiply(x.view(1, self._width), self._weight, self._scale).view(*x.shape[:-1], -1)
        return y if self._bias is None else y + self._bias


class PlainLinear:
    """The same for other devices and precisions."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


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

    def __init__(self, plain: Attention, int8: bool) -> None:
        self.n_head, self.n_kv_head, self.head_dim = plain.n_head, plain.n_kv_head, plain.head_dim
        self.qkv, self.out = _join(plain.q, plain.k, plain.v, int8=int8), _join(plain.out, int8=int8)
        self.norm: QuickRMSNorm | None = None
        if isinstance(plain.q_norm, RMSNorm) and isinstance(plain.k_norm, RMSNorm):
            q, k = plain.q_norm.weight, plain.k_norm.weight
            weight = torch.cat([q.expand(self.n_head, -1), k.expand(self.n_kv_head, -1)])  # [H + K, D]
            self.norm = QuickRMSNorm(weight, plain.q_norm.eps)

    def __call__(self, x: Tensor, rope: tuple[Tensor, Tensor] | None, cache: LayerCache | None) -> Tensor:
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
        y = attend(q.to(k.dtype), k, v)
        return self.out(y.transpose(1, 2).reshape(batch, length, -1).to(x.dtype))


class FusedSwiGLU:
    """`SwiGLU` with one projection in."""

    def __init__(self, plain: SwiGLU, int8: bool) -> None:
        self.gate_up, self.down = _join(plain.gate, plain.up, int8=int8), _join(plain.down, int8=int8)

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class FusedGELU:
    """`GELU` with packed weights."""

    def __init__(self, plain: GELU, int8: bool) -> None:
        self.up, self.down = _join(plain.up, int8=int8), _join(plain.down, int8=int8)

    def __call__(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x), approximate="tanh"))


def _quick_norm(norm: nn.Module) -> nn.Module | QuickRMSNorm:
    return QuickRMSNorm(norm.weight, norm.eps) if isinstance(norm, RMSNorm) else norm


def _join(*layers: nn.Linear, int8: bool) -> PackedLinear | Int8Linear | PlainLinear:
    """One layer that computes what `layers` do, their outputs one after the other."""
    weight = torch.cat([layer.weight for layer in layers]).detach()
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    bias = torch.cat(biases) if biases else None
    if not _packs(weight):
        return PlainLinear(weight, bias)
    return Int8Linear(weight, bias) if int8 else PackedLinear(weight, bias)


def _packs(weight: Tensor) -> bool:
    """Whether this torch can pack such weights here; where it cannot, plain layers do the same, slower."""
    here = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return here and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
