"""Tokens through the whole decoder, compiled: the same steps as `fused_layers.py`, for one token or a few hundred.

All threads go through `read_tokens`, where work is shared out (`team.py`); what is small, the leader does alone.
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
    TILE,
    exponential,
    gelu,
    multiply,
    rounding,
    row_bytes,
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
from engine.run.compiled.team import close_parts, open_parts, opened, options, part_done, small, take_part

LAYERS, WIDTH, INNER, HEADS, KV_HEADS, HEAD_DIM = 0, 8, 16, 24, 32, 40
LAYER_NORM, GATE = 48, 56  # whether norms take away the mean; how the gate is bent: 0 there is none, 1 SiLU, 2 GELU
EPS, HEAD_EPS, SCALE = 64, 72, 80  # fp32 in the lower half
ROPE = 88  # the address of cosines and sines in turn, fp32 [context, D/2, 2], or 0
STREAM, BETWEEN, ROUNDED, SCALES = 96, 104, 112, 120  # rows: the residual stream; what a product reads; it rounded
PROJECTED, ATTENDED, EXPANDED = 128, 136, 144  # rows of what products wrote, and of what attention did
SCORES, ROOM = 152, 160  # room for four rows of scores for each thread, and a row's bytes
FINAL_WEIGHT, FINAL_BIAS, HEAD = 168, 176, 184  # the last norm, and the head's product from here on
FIRST_LAYER = HEAD + PRODUCT
QKV, OUT, UP, DOWN = 0, PRODUCT, 2 * PRODUCT, 3 * PRODUCT  # a layer's products
NORM_WEIGHT, NORM_BIAS, MLP_WEIGHT, MLP_BIAS, HEAD_NORMS = (4 * PRODUCT + 8 * number for number in range(5))
LAYER = 4 * PRODUCT + 40  # bytes
SECTIONS = 10  # of a layer that are shared out; of the head, two
SOME = 32  # rows whose heads, keys and values are a part
AS_IT_IS, NORMED, CENTRED = 0, 3, 4  # what is done with a product's rows before; in between, the kinds of GATE
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


@njit(**small)
def weigh(scores, total, width):  # type: ignore[no-untyped-def]
    """Softmax over `total` scores, without dividing; 0 from there to `width`. Returns what they add up to."""
    for i in range(total, (total + LANES - 1) // LANES * LANES):
        put_number(scores + 4 * i, np.float32(-np.inf))
    most = everywhere(np.float32(-np.inf))
    for i in range(0, total, LANES):
        most = larger(most, load_floats(scores + 4 * i))
    top, weights = everywhere(largest_of(most)), no_floats()
    for i in range(0, total, LANES):
        weight = exponential(load_floats(scores + 4 * i) - top)
        weights = weights + weight
        store_floats(scores + 4 * i, weight)
    # What was -∞ has e⁻⁸⁷ each, which is nothing beside the largest's 1; it must not weigh what a cache happens to hold.
    for i in range(total, width):
        put_number(scores + 4 * i, np.float32(0.0))
    return sum_of(weights)


@njit(**options)
def attend_one(q, keys, values, scores, total, head_dim, scale, into):  # type: ignore[no-untyped-def]
    """One head's query [D] over the first `total` positions of its keys and values; fp32 [D] at `into`."""
    strip = 4 * LANES
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
    factor = everywhere(np.float32(1.0) / weigh(scores, total, total))
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
def attend_four(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_):  # type: ignore[no-untyped-def]
    """Four following queries, `apart` bytes from each other, the first of which sees `length` positions.

    Keys and values are widened once for all four. `room`: bytes from one's scores to the next one's; `next_`: bytes
    from one's result, at `into`, to the next one's.
    """
    strip, total = 2 * LANES, length + 3
    for first in range(0, total, strip):
        k = keys + 2 * ((first // FOLD) * head_dim * FOLD + first % FOLD)
        a0, a1, a2, a3 = no_floats(), no_floats(), no_floats(), no_floats()
        b0, b1, b2, b3 = no_floats(), no_floats(), no_floats(), no_floats()
        p = q
        for _ in range(head_dim):
            a, b = load_fp16(k), load_fp16(k + 2 * LANES)
            n0, n1 = one_everywhere(p), one_everywhere(p + apart)
            n2, n3 = one_everywhere(p + 2 * apart), one_everywhere(p + 3 * apart)
            a0, a1, a2, a3 = a0 + n0 * a, a1 + n1 * a, a2 + n2 * a, a3 + n3 * a
            b0, b1, b2, b3 = b0 + n0 * b, b1 + n1 * b, b2 + n2 * b, b3 + n3 * b
            k, p = k + 2 * FOLD, p + 4
        place, by = scores + 4 * first, everywhere(scale)
        store_floats(place, a0 * by)
        store_floats(place + 4 * LANES, b0 * by)
        store_floats(place + room, a1 * by)
        store_floats(place + room + 4 * LANES, b1 * by)
        store_floats(place + 2 * room, a2 * by)
        store_floats(place + 2 * room + 4 * LANES, b2 * by)
        store_floats(place + 3 * room, a3 * by)
        store_floats(place + 3 * room + 4 * LANES, b3 * by)
    one = np.float32(1.0)
    f0 = everywhere(one / weigh(scores, length, total))
    f1 = everywhere(one / weigh(scores + room, length + 1, total))
    f2 = everywhere(one / weigh(scores + 2 * room, length + 2, total))
    f3 = everywhere(one / weigh(scores + 3 * room, total, total))
    for start in range(0, head_dim, LANES):
        v, w = values + 2 * start, scores
        a0, a1, a2, a3 = no_floats(), no_floats(), no_floats(), no_floats()
        b0, b1, b2, b3 = no_floats(), no_floats(), no_floats(), no_floats()
        for _ in range(total // 2):  # two sums each, or one's products would wait for one another
            a, b = load_fp16(v), load_fp16(v + 2 * head_dim)
            a0, a1 = a0 + one_everywhere(w) * a, a1 + one_everywhere(w + room) * a
            a2, a3 = a2 + one_everywhere(w + 2 * room) * a, a3 + one_everywhere(w + 3 * room) * a
            b0, b1 = b0 + one_everywhere(w + 4) * b, b1 + one_everywhere(w + room + 4) * b
            b2, b3 = b2 + one_everywhere(w + 2 * room + 4) * b, b3 + one_everywhere(w + 3 * room + 4) * b
            v, w = v + 4 * head_dim, w + 8
        if total % 2:
            a = load_fp16(v)
            a0, a1 = a0 + one_everywhere(w) * a, a1 + one_everywhere(w + room) * a
            a2, a3 = a2 + one_everywhere(w + 2 * room) * a, a3 + one_everywhere(w + 3 * room) * a
        place = into + 4 * start
        store_floats(place, (a0 + b0) * f0)
        store_floats(place + next_, (a1 + b1) * f1)
        store_floats(place + 2 * next_, (a2 + b2) * f2)
        store_floats(place + 3 * next_, (a3 + b3) * f3)


@njit(**options)
def attend_parts(team, section, model, thread, rows, length, keys, values, capacity):  # type: ignore[no-untyped-def]
    """Heads of up to SOME rows until none is left: each row's query over what was read before it, and itself."""
    heads, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    projected, attended, room = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + ROOM)
    scores, scale = whole_at(model + SCORES) + thread * 4 * room, number_at(model + SCALE)
    apart, next_ = 4 * (heads + 2 * kv) * head_dim, 4 * heads * head_dim
    parts = heads * ((rows + SOME - 1) // SOME)
    part = take_part(team, section, parts)
    while part >= 0:
        head, row = part % heads, part // heads * SOME
        last = min(rows, row + SOME)
        behind = 2 * (head // (heads // kv)) * capacity * head_dim
        k, v = keys + behind, values + behind
        while row < last:
            q, into = projected + row * apart + 4 * head * head_dim, attended + row * next_ + 4 * head * head_dim
            seen = length + row + 1
            if row + 4 <= last:
                attend_four(q, apart, k, v, scores, room, seen, head_dim, scale, into, next_)
                row += 4
            else:
                attend_one(q, k, v, scores, seen, head_dim, scale, into)
                row += 1
        part_done(team)
        part = take_part(team, section, parts)
    return parts


@njit(**options)
def prepare_row(product, kind, x, weight, bias, eps, between, inputs, rounded, scale, one):  # type: ignore[no-untyped-def]
    """What a product reads of one row at `x`: normed, gated or as it is, and rounded, but for bf16 weights and one row."""
    if kind == NORMED or kind == CENTRED:
        norm_row(x, weight, bias, between, inputs, eps, kind == CENTRED)
        x = between
    elif kind != AS_IT_IS:
        gate_row(x, between, inputs, kind)
        x = between
    if not (one and whole_at(product + BITS) == 16):
        rounding(product, x, rounded, scale)


@njit(**options)
def share_product(
    team, section, thread, model, product, kind, x, apart, weight, bias, y, stride, rows, add
):  # type: ignore[no-untyped-def]
    """`rows` rows at `x`, `apart` bytes from each other, times a product's weights, by all.

    `kind`: what is done with a row before. Takes two sections, and returns the next.
    """
    rounded, scales, between = whole_at(model + ROUNDED), whole_at(model + SCALES), whole_at(model + BETWEEN)
    inputs, size, line = whole_at(product + INPUTS), scale_bytes(product), row_bytes(product)
    eps, one = number_at(model + EPS), rows == 1
    if rows <= 2:
        if thread == 0:
            for row in range(rows):
                prepare_row(
                    product, kind, x + row * apart, weight, bias, eps,
                    between + 4 * row * inputs, inputs, rounded + row * line, scales + row * size, one,
                )  # fmt: skip
    else:
        parts = (rows + TILE - 1) // TILE
        if thread == 0:
            open_parts(team, section)
        else:
            opened(team, section)
        part = take_part(team, section, parts)
        while part >= 0:
            for row in range(part * TILE, min(rows, part * TILE + TILE)):
                prepare_row(
                    product, kind, x + row * apart, weight, bias, eps,
                    between + 4 * row * inputs, inputs, rounded + row * line, scales + row * size, one,
                )  # fmt: skip
            part_done(team)
            part = take_part(team, section, parts)
        if thread == 0:
            close_parts(team, parts)
    if thread == 0:
        open_parts(team, section + 1)
    else:
        opened(team, section + 1)
    fp32 = x if kind == AS_IT_IS else between
    scratch = whole_at(model + SCORES) + thread * 4 * whole_at(model + ROOM)
    multiply(team, section + 1, product, fp32, rounded, scales, y, stride, rows, add, scratch)
    if thread == 0:
        close_parts(team, whole_at(product + PARTS))
    return section + 2


@njit(**options)
def store_parts(team, section, thread, model, layer, rows, length, keys, values, capacity):  # type: ignore[no-untyped-def]
    """`store_token` for all rows; returns the next section."""
    projected = whole_at(model + PROJECTED)
    line = 4 * (whole_at(model + HEADS) + 2 * whole_at(model + KV_HEADS)) * whole_at(model + HEAD_DIM)
    if rows <= 2:
        if thread == 0:
            for row in range(rows):
                store_token(model, layer, projected + row * line, length + row, keys, values, capacity)
        return section + 1
    parts = (rows + SOME - 1) // SOME  # few rows a part would have threads write to the same lines
    if thread == 0:
        open_parts(team, section)
    else:
        opened(team, section)
    part = take_part(team, section, parts)
    while part >= 0:
        for row in range(part * SOME, min(rows, part * SOME + SOME)):
            store_token(model, layer, projected + row * line, length + row, keys, values, capacity)
        part_done(team)
        part = take_part(team, section, parts)
    if thread == 0:
        close_parts(team, parts)
    return section + 1


@njit(**options)
def read_tokens(team, section, thread, model, rows, length, cache, capacity, logits, stride, wanted):  # type: ignore[no-untyped-def]
    """`rows` tokens, whose embeddings stand in the stream, behind `length` that the cache holds.

    The cache's tensor is fp16 [2·layers, KV heads, capacity, D], folded. Logits of the last `wanted` tokens are made;
    a row of them is `stride` bytes.
    """
    width, inner, heads = whole_at(model + WIDTH), whole_at(model + INNER), whole_at(model + HEADS)
    kv, head_dim, gated = whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM), whole_at(model + GATE)
    norm, stream = whole_at(model + LAYER_NORM), whole_at(model + STREAM)
    projected, attended, expanded = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + EXPANDED)
    size, line, wide = 2 * kv * capacity * head_dim, 4 * width, 4 * heads * head_dim
    qkv, up = 4 * (heads + 2 * kv) * head_dim, 4 * inner * (2 if gated else 1)
    normed = CENTRED if norm else NORMED
    for number in range(whole_at(model + LAYERS)):
        layer = model + FIRST_LAYER + number * LAYER
        keys, values = cache + 2 * number * size, cache + (2 * number + 1) * size
        weight, bias = whole_at(layer + NORM_WEIGHT), whole_at(layer + NORM_BIAS)
        section = share_product(
            team, section, thread, model, layer + QKV, normed, stream, line, weight, bias, projected, qkv, rows, False
        )
        section = store_parts(team, section, thread, model, layer, rows, length, keys, values, capacity)
        if thread == 0:
            open_parts(team, section)
        else:
            opened(team, section)
        parts = attend_parts(team, section, model, thread, rows, length, keys, values, capacity)
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
