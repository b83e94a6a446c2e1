"""What one token looks at: attention weights of every layer and head, with the softmax written out.

The model computes its attention in one fused step that never shows the weights. Here the keys are those it keeps in its
cache, and the queries are made again from what goes into each layer. Packing weights for the pipe is here too.
"""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

from engine.decoder.kv_cache import KVCache
from engine.run.fuse import Decoder, FusedGPT

LARGEST = 2**20  # bytes of weights in one answer; a longer context has several places a column


@torch.inference_mode()
def attention_weights(model: Decoder, cache: KVCache, token: int, position: int) -> Tensor:
    """Weights [layers, heads, position + 1], fp32: what `token` at place `position` (from 0) looks at.

    `cache` holds what is before it, and perhaps more, which stays.
    """
    held = cache.length
    cache.truncate(position)
    queries: list[Tensor] = []  # H D each

    def watch(layer: int, x: Tensor, rope: Any) -> None:
        queries.append(_queries(model, layer, x, rope))

    model.hidden(torch.tensor([[token]], device=model.device), cache, watch=watch)
    weights = []
    for layer, (q, kept) in enumerate(zip(queries, cache.layers, strict=True)):
        block: Any = model.blocks[layer]
        scale = block.attention.scale or model.config.head_dim**-0.5
        weights.append(softmax_of(q, kept.everything()[0][0], scale, model.config.window_of(layer)))
        kept.length = max(held, kept.length)  # the token wrote again what stood there
    return torch.stack(weights)


def softmax_of(q: Tensor, k: Tensor, scale: float, window: int = 0) -> Tensor:
    """Weights [H, S] of queries [H, D] over keys [K, S, D], the query standing on the last of the S places.

    H / K neighbouring query heads share a key head (GQA); with `window`, only so many last places are seen.
    """
    n_kv_head, places, head_dim = k.shape
    grouped = q.float().view(n_kv_head, -1, head_dim)  # K, H/K, D
    scores = grouped @ k.float().transpose(1, 2) * scale  # K, H/K, S
    if window and places > window:
        scores[..., : places - window] = -torch.inf
    return torch.softmax(scores, dim=-1).view(q.shape[0], places)


def packed_weights(weights: Tensor, largest: int = LARGEST) -> tuple[int, str]:
    """(places a column, base64 of the bytes) of weights [layers, heads, S], as `protocol.Attention` has them.

    Most weights are small, and a square root gives small ones more of the 256 steps.
    """
    layers, heads, places = weights.shape
    span = -(-places * layers * heads // largest)
    padded = torch.nn.functional.pad(weights, (0, -places % span))
    columns = padded.view(layers, heads, -1, span).sum(-1)
    steps = (columns.clamp(0, 1).sqrt() * 255).round().to(torch.uint8)
    return span, base64.b64encode(steps.cpu().numpy().tobytes()).decode()


def _queries(model: Decoder, layer: int, x: Tensor, rope: Any) -> Tensor:
    """Queries [H, D] of layer `layer` for the one token whose stream `x` goes into it."""
    block: Any = model.blocks[layer]
    normed = block.attention_norm(x)
    if isinstance(model, FusedGPT):
        q, _, _ = block.attention.project(normed, 1, rope)
    else:
        q, _, _ = block.attention.project(normed, rope)
    return q[0, :, 0]
