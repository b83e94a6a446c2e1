"""One token through the whole decoder, compiled: the same steps as `fused_layers.py`, for up to eight tokens at once.

All threads go through `read_tokens`. The leader does what is small; products and attention are shared out (`team.py`).
What a model is, and where its numbers and the room for what lies between are, stands at `model` in whole numbers of 64
bits, at the places below; `step.py` writes it down.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.run.compiled.building import LANES
from engine.run.compiled.products import (
    BITS,
    INPUTS,
    PARTS,
    PRODUCT,
    exponential,
    gelu,
    multiply,
    rounding,
    scale_bytes,
    sigmoid,
)
from engine.run.compiled.registers import (
    everywhere,
    larger,
    largest_of,
    load_floats,
    load_fp16,
    no_floats,
    number_at,
    one_everywhere,
    put_fp16,
    put_number,
    store_floats,
    store_fp16,
    sum_of,
    whole_at,
)
from engine.run.compiled.team import close_parts, open_parts, opened, options, part_done, take_part

LAYERS, WIDTH, INNER, HEADS, KV_HEADS, HEAD_DIM = 0, 8, 16, 24, 32, 40
LAYER_NORM, GATE = 48, 56  # whether norms take away the mean; how the gate is bent: 0 there is none, 1 SiLU, 2 GELU
EPS, HEAD_EPS, SCALE = 64, 72, 80  # fp32 in the lower half
ROPE = 88  # the address of cosines and sines in turn, fp32 [context, D/2, 2], or 0
STREAM, BETWEEN, ROUNDED, SCALES = 96, 104, 112, 120  # rows: the residual stream; what a product reads; it rounded
PROJECTED, ATTENDED, EXPANDED = 128, 136, 144  # rows of what products wrote, and of what attention did
SCORES, ROOM = 152, 160  # room for one head's scores for each thread, and its bytes
FINAL_WEIGHT, FINAL_BIAS, HEAD = 168, 176, 184  # the last norm, and the head's product from here on
FIRST_LAYER = HEAD + PRODUCT
QKV, OUT, UP, DOWN = 0, PRODUCT, 2 * PRODUCT, 3 * PRODUCT  # a layer's products
NORM_WEIGHT, NORM_BIAS, MLP_WEIGHT, MLP_BIAS, HEAD_NORMS = (4 * PRODUCT + 8 * number for number in range(5))
LAYER = 4 * PRODUCT + 40  # bytes
SECTIONS = 5  # of a layer that are shared out
FOLD = 256  # positions in a block of keys: see `kv_cache.py`


@njit(**options)
def norm_row(x, weight, bias, into, width, eps, centred):  # type: ignore[no-untyped-def]
    """LayerNorm (`centred`) or RMSNorm of fp32 [width]; weight and bias may be 0, for none."""
    mean = np.float32(0.0)
    if centred:
        total = no_floats()
        for i in range(0, width, LANES):
            total = total + load_floats(x + 4 * i)
        mean = sum_of(total) / np.float32(width)
    middle, square = everywhere(mean), no_floats()
    for i in range(0, width, LANES):
        v = load_floats(x + 4 * i) - middle
        square = square + v * v
    factor = everywhere(np.float32(1.0) / np.sqrt(sum_of(square) / np.float32(width) + eps))
    for i in range(0, width, LANES):
        v = (load_floats(x + 4 * i) - middle) * factor
        if weight:
            v = v * load_floats(weight + 4 * i)
        if bias:
            v = v + load_floats(bias + 4 * i)
        store_floats(into + 4 * i, v)


@njit(**options)
def gate_row(x, into, inner, kind):  # type: ignore[no-untyped-def]
    """fp32 [2, inner], gate and what it lets through → [inner]."""
    for i in range(0, inner, LANES):
        gate = load_floats(x + 4 * i)
        bent = gelu(gate) if kind == 2 else gate * sigmoid(gate)
        store_floats(into + 4 * i, bent * load_floats(x + 4 * (inner + i)))


@njit(**options)
def turn_head(x, rope, head_dim):  # type: ignore[no-untyped-def]
    """RoPE over one head, in which the pairs that are turned are neighbours."""
    for i in range(0, 4 * head_dim, 8):
        a, b = number_at(x + i), number_at(x + i + 4)
        cosine, sine = number_at(rope + i), number_at(rope + i + 4)
        put_number(x + i, a * cosine - b * sine)
        put_number(x + i + 4, a * sine + b * cosine)


@njit(**options)
def store_token(model, layer, heads, position, keys, values, capacity):  # type: ignore[no-untyped-def]
    """Norm and turn one token's queries and keys at `heads`, and put keys and values behind what the cache holds."""
    queries, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    rope, norms, eps = whole_at(model + ROPE), whole_at(layer + HEAD_NORMS), number_at(model + HEAD_EPS)
    for head in range(queries + kv):
        place = heads + 4 * head * head_dim
        if norms:
            norm_row(place, norms + 4 * head * head_dim, 0, place, head_dim, eps, False)
        if rope:
            turn_head(place, rope + 4 * position * head_dim, head_dim)
    block, within = position // FOLD, position % FOLD
    for head in range(kv):
        k, v = heads + 4 * (queries + head) * head_dim, heads + 4 * (queries + kv + head) * head_dim
        into = keys + 2 * ((head * (capacity // FOLD) + block) * head_dim * FOLD + within)
        for i in range(head_dim):
            put_fp16(into + 2 * i * FOLD, number_at(k + 4 * i))
        into = values + 2 * (head * capacity + position) * head_dim
        for i in range(0, head_dim, LANES):
            store_fp16(into + 2 * i, load_floats(v + 4 * i))


@njit(**options)
def attend_head(q, keys, values, scores, total, head_dim, scale, into):  # type: ignore[no-untyped-def]
    """One head's query [D] over the first `total` positions of its keys and values; fp32 [D] at `into`."""
    strip = 4 * LANES
    most = everywhere(np.float32(-np.inf))
    for first in range(0, total, strip):
        k = keys + 2 * ((first // FOLD) * head_dim * FOLD + first % FOLD)
        a, b, c, d = no_floats(), no_floats(), no_floats(), no_floats()
        for i in range(head_dim):
            number = one_everywhere(q + 4 * i)
            a = a + number * load_fp16(k)
            b = b + number * load_fp16(k + 2 * LANES)
            c = c + number * load_fp16(k + 4 * LANES)
            d = d + number * load_fp16(k + 6 * LANES)
            k += 2 * FOLD
        place = scores + 4 * first
        store_floats(place, a * everywhere(scale))
        store_floats(place + 4 * LANES, b * everywhere(scale))
        store_floats(place + 8 * LANES, c * everywhere(scale))
        store_floats(place + 12 * LANES, d * everywhere(scale))
    whole = (total + LANES - 1) // LANES * LANES
    for i in range(total, whole):
        put_number(scores + 4 * i, np.float32(-np.inf))
    for i in range(0, whole, LANES):
        most = larger(most, load_floats(scores + 4 * i))
    top, weights = everywhere(largest_of(most)), no_floats()
    for i in range(0, whole, LANES):
        weight = exponential(load_floats(scores + 4 * i) - top)
        weights = weights + weight
        store_floats(scores + 4 * i, weight)
    # What lies behind `total` has e⁻⁸⁷ each, which is nothing beside the largest's 1.
    factor = everywhere(np.float32(1.0) / sum_of(weights))
    wide = head_dim // strip * strip
    for start in range(0, wide, strip):
        v = values + 2 * start
        a, b, c, d = no_floats(), no_floats(), no_floats(), no_floats()
        for i in range(total):
            weight = one_everywhere(scores + 4 * i)
            a = a + weight * load_fp16(v)
            b = b + weight * load_fp16(v + 2 * LANES)
            c = c + weight * load_fp16(v + 4 * LANES)
            d = d + weight * load_fp16(v + 6 * LANES)
            v += 2 * head_dim
        place = into + 4 * start
        store_floats(place, a * factor)
        store_floats(place + 4 * LANES, b * factor)
        store_floats(place + 8 * LANES, c * factor)
        store_floats(place + 12 * LANES, d * factor)
    for start in range(wide, head_dim, LANES):
        v, a = values + 2 * start, no_floats()
        for i in range(total):
            a = a + one_everywhere(scores + 4 * i) * load_fp16(v)
            v += 2 * head_dim
        store_floats(into + 4 * start, a * factor)


@njit(**options)
def attend_parts(team, section, model, thread, rows, length, keys, values, capacity):  # type: ignore[no-untyped-def]
    """Heads until none is left: each row's query over what was read before it, and itself."""
    heads, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    projected, attended = whole_at(model + PROJECTED), whole_at(model + ATTENDED)
    scores, scale = whole_at(model + SCORES) + thread * whole_at(model + ROOM), number_at(model + SCALE)
    stride = 4 * (heads + 2 * kv) * head_dim
    head = take_part(team, section, heads)
    while head >= 0:
        behind = 2 * (head // (heads // kv)) * capacity * head_dim
        for row in range(rows):
            q, into = projected + row * stride + 4 * head * head_dim, attended + 4 * (row * heads + head) * head_dim
            attend_head(q, keys + behind, values + behind, scores, length + row + 1, head_dim, scale, into)
        part_done(team)
        head = take_part(team, section, heads)


@njit(**options)
def share_product(team, section, thread, model, product, x, y, stride, rows, add):  # type: ignore[no-untyped-def]
    """`rows` rows at `x` times a product's weights, by all; returns the next section."""
    rounded, scales = whole_at(model + ROUNDED), whole_at(model + SCALES)
    if thread == 0:
        inputs, size = whole_at(product + INPUTS), scale_bytes(product)
        if whole_at(product + BITS) != 16:
            for row in range(rows):
                rounding(product, x + 4 * row * inputs, rounded + row * inputs, scales + row * size)
        open_parts(team, section)
    else:
        opened(team, section)
    multiply(team, section, product, x, rounded, scales, y, stride, rows, add)
    if thread == 0:
        close_parts(team, whole_at(product + PARTS))
    return section + 1


@njit(**options)
def read_tokens(team, section, thread, model, rows, length, cache, capacity, logits, stride):  # type: ignore[no-untyped-def]
    """`rows` tokens, whose embeddings stand in the stream, behind `length` that the cache holds; their logits.

    The cache's tensor is fp16 [2·layers, KV heads, capacity, D], folded; a row of logits is `stride` bytes.
    """
    width, inner, heads = whole_at(model + WIDTH), whole_at(model + INNER), whole_at(model + HEADS)
    kv, head_dim, centred = whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM), whole_at(model + LAYER_NORM) != 0
    stream, between, gated = whole_at(model + STREAM), whole_at(model + BETWEEN), whole_at(model + GATE)
    projected, attended, expanded = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + EXPANDED)
    eps, size = number_at(model + EPS), 2 * kv * capacity * head_dim
    qkv, up = 4 * (heads + 2 * kv) * head_dim, 4 * inner * (2 if gated else 1)
    for number in range(whole_at(model + LAYERS)):
        layer = model + FIRST_LAYER + number * LAYER
        keys, values = cache + 2 * number * size, cache + (2 * number + 1) * size
        if thread == 0:
            weight, bias = whole_at(layer + NORM_WEIGHT), whole_at(layer + NORM_BIAS)
            for row in range(rows):
                place = 4 * row * width
                norm_row(stream + place, weight, bias, between + place, width, eps, centred)
        section = share_product(team, section, thread, model, layer + QKV, between, projected, qkv, rows, False)
        if thread == 0:
            for row in range(rows):
                store_token(model, layer, projected + row * qkv, length + row, keys, values, capacity)
            open_parts(team, section)
        else:
            opened(team, section)
        attend_parts(team, section, model, thread, rows, length, keys, values, capacity)
        if thread == 0:
            close_parts(team, heads)
        section = share_product(
            team, section + 1, thread, model, layer + OUT, attended, stream, 4 * width, rows, True
        )
        if thread == 0:
            weight, bias = whole_at(layer + MLP_WEIGHT), whole_at(layer + MLP_BIAS)
            for row in range(rows):
                place = 4 * row * width
                norm_row(stream + place, weight, bias, between + place, width, eps, centred)
        section = share_product(team, section, thread, model, layer + UP, between, expanded, up, rows, False)
        inside = expanded
        if gated:
            inside = between
            if thread == 0:
                for row in range(rows):
                    gate_row(expanded + row * up, between + 4 * row * inner, inner, gated)
        section = share_product(team, section, thread, model, layer + DOWN, inside, stream, 4 * width, rows, True)
    if thread == 0:
        for row in range(rows):
            weight, bias, place = whole_at(model + FINAL_WEIGHT), whole_at(model + FINAL_BIAS), 4 * row * width
            norm_row(stream + place, weight, bias, between + place, width, eps, centred)
    share_product(team, section, thread, model, model + HEAD, between, logits, stride, rows, False)
