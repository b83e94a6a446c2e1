"""Tokens through the whole decoder, compiled: the same steps as `fused_layers.py`, for one token or a few hundred.

All threads go through `read_tokens`, where work is shared out (`team.py`); what is small, the leader does alone. Here
are the order of steps and the embedding; a layer's steps are in `linear_layers.py`, `kv_cache.py` and `attention.py`.
What a model is, and where its numbers and the room for what lies between are, stands at `model` in whole numbers of 64
bits, at the places of `places.py`; `step.py` writes it down.
"""

from __future__ import annotations

from engine.run.compiled.code.arithmetic import everywhere
from engine.run.compiled.code.attention import attend_parts
from engine.run.compiled.code.kv_cache import store_parts
from engine.run.compiled.code.linear_layers import AS_IT_IS, CENTRED, NORMED, share_product
from engine.run.compiled.code.memory import load_bf16, load_floats, number_at, store_floats, whole_at
from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.team import close_parts, compiled, open_parts, opened
from engine.run.compiled.places import (
    ATTENDED,
    DOWN,
    EXPANDED,
    FINAL_BIAS,
    FINAL_WEIGHT,
    FIRST_LAYER,
    GATE,
    HEAD,
    HEAD_DIM,
    HEADS,
    INNER,
    KV_HEADS,
    LAYER,
    LAYER_NORM,
    LAYERS,
    MLP_BIAS,
    MLP_WEIGHT,
    NORM_BIAS,
    NORM_WEIGHT,
    OUT,
    POSITIONS,
    PROJECTED,
    QKV,
    STREAM,
    STREAM_WIDTH,
    TABLE,
    TABLE_BITS,
    TABLE_SCALE,
    THREADS,
    TOKENS,
    UP,
)

SECTIONS = 10  # of a layer that are shared out; of the head, two


@compiled
def embed_row(model, token, position, into):
    """A token's embedding, and its position's where there are such; fp32 [width]."""
    width, table, bits = whole_at(model + STREAM_WIDTH), whole_at(model + TABLE), whole_at(model + TABLE_BITS)
    places, scale = whole_at(model + POSITIONS), everywhere(number_at(model + TABLE_SCALE))
    row = table + token * width * (bits // 8)
    for i in range(0, width, LANES):
        v = (load_bf16(row + 2 * i) if bits == 16 else load_floats(row + 4 * i)) * scale
        if places:
            v = v + load_floats(places + 4 * (position * width + i))
        store_floats(into + 4 * i, v)


@compiled
def read_tokens(team, section, thread, model, rows, length, cache, capacity, logits, stride, wanted):
    """`rows` tokens, whose embeddings stand in the stream, behind `length` that the cache holds.

    The cache's tensor is that of a compact one. Logits of the last `wanted` tokens are made; a row of them is `stride`
    bytes. Where the embedding's table is one that is read here, the tokens stand at TOKENS.
    """
    if thread >= whole_at(model + THREADS):
        return
    width, inner, heads = whole_at(model + STREAM_WIDTH), whole_at(model + INNER), whole_at(model + HEADS)
    kv, head_dim, gated = whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM), whole_at(model + GATE)
    norm, stream = whole_at(model + LAYER_NORM), whole_at(model + STREAM)
    projected, attended, expanded = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + EXPANDED)
    size, line, wide = capacity * (head_dim + 4), 4 * width, 4 * heads * head_dim
    qkv, up = 4 * (heads + 2 * kv) * head_dim, 4 * inner * (2 if gated else 1)
    normed = CENTRED if norm else NORMED
    if thread == 0 and whole_at(model + TABLE):
        for row in range(rows):
            token = whole_at(whole_at(model + TOKENS) + 8 * row)
            embed_row(model, token, length + row, stream + row * line)
    for number in range(whole_at(model + LAYERS)):
        layer = model + FIRST_LAYER + number * LAYER
        keys, values = cache + 2 * number * kv * size, cache + (2 * number + 1) * kv * size
        weight, bias = whole_at(layer + NORM_WEIGHT), whole_at(layer + NORM_BIAS)
        section = share_product(
            team, section, thread, model, layer + QKV, normed, stream, line, weight, bias, projected, qkv, rows, False
        )
        section = store_parts(team, section, thread, model, layer, rows, length, keys, values, size)
        if thread == 0:
            open_parts(team, section)
        else:
            opened(team, section)
        parts = attend_parts(team, section, model, thread, rows, length, keys, values, size)
        if thread == 0:
            close_parts(team, parts)
        section = share_product(
            team, section + 1, thread, model, layer + OUT, AS_IT_IS, attended, wide, 0, 0, stream, line, rows, True
        )
        weight, bias = whole_at(layer + MLP_WEIGHT), whole_at(layer + MLP_BIAS)
        section = share_product(
            team, section, thread, model, layer + UP, normed, stream, line, weight, bias, expanded, up, rows, False
        )
        section = share_product(
            team, section, thread, model, layer + DOWN, gated, expanded, up, 0, 0, stream, line, rows, True
        )
    if wanted:
        weight, bias = whole_at(model + FINAL_WEIGHT), whole_at(model + FINAL_BIAS)
        last = stream + (rows - wanted) * line
        share_product(
            team, section, thread, model, model + HEAD, normed, last, line, weight, bias, logits, stride, wanted, False
        )
