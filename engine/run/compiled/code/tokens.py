"""Tokens through the whole decoder, compiled: the same steps as `fused_layers.py`, for one token or a few hundred.

All threads go through `read_tokens`, where work is shared out (`team.py`); what is small, the leader does alone.
What a model is, and where its numbers and the room for what lies between are, stands at `model` in whole numbers of 64
bits, at the places of `places.py`; `step.py` writes it down.
"""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.activations import exponential, gelu, sigmoid
from engine.run.compiled.code.arithmetic import (
    add_fours,
    add_twos,
    as_floats,
    everywhere,
    larger,
    largest_of,
    nearest,
    no_floats,
    no_ints,
    sum_of,
    without_sign,
)
from engine.run.compiled.code.memory import (
    copy_byte,
    fetch,
    four_everywhere,
    load_bf16,
    load_floats,
    load_octets,
    load_widened,
    number_at,
    put_no_short,
    put_number,
    store_floats,
    store_rounded,
    store_shorts,
    whole_at,
)
from engine.run.compiled.code.processor import (
    LANES,
    VNNI,
    WIDTH,
)
from engine.run.compiled.code.products import multiply
from engine.run.compiled.code.rounding import round_row, rounding, row_bytes, scale_bytes
from engine.run.compiled.code.team import (
    close_parts,
    compiled,
    inlined,
    open_parts,
    opened,
    part_done,
    take_part,
)
from engine.run.compiled.places import (
    ATTENDED,
    BETWEEN,
    BITS,
    DOWN,
    EPS,
    EXPANDED,
    FINAL_BIAS,
    FINAL_WEIGHT,
    FIRST_LAYER,
    GATE,
    HEAD,
    HEAD_DIM,
    HEAD_EPS,
    HEAD_NORMS,
    HEADS,
    INNER,
    INPUTS,
    KV_HEADS,
    LAYER,
    LAYER_NORM,
    LAYERS,
    MLP_BIAS,
    MLP_WEIGHT,
    NORM_BIAS,
    NORM_WEIGHT,
    OUT,
    PARTS,
    POCKET,
    POCKETS,
    POSITIONS,
    PROJECTED,
    QKV,
    ROOM,
    ROPE,
    ROUNDED,
    ROW_SCALES,
    SCALE,
    STREAM,
    STREAM_WIDTH,
    TABLE,
    TABLE_BITS,
    TABLE_SCALE,
    THREADS,
    TILE,
    TOGETHER,
    TOKENS,
    UP,
)

SECTIONS = 10  # of a layer that are shared out; of the head, two
SOME = 32  # rows whose heads, keys and values are a part
AS_IT_IS, NORMED, CENTRED = 0, 3, 4  # what is done with a product's rows before; in between, the kinds of GATE
QUERY = 127 if VNNI else 63  # the largest of a rounded query: a key's byte is up to 255, and two products share 16 bits
FOLD = 64  # positions in a block of keys and values: COMPACT in `kv_cache.py`


@compiled
def norm_row(x, weight, bias, into, width, eps, centred):
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


@compiled
def gate_row(x, into, inner, kind):
    """fp32 [2, inner], gate and what it lets through → [inner]."""
    for i in range(0, inner, LANES):
        gate = load_floats(x + 4 * i)
        bent = gelu(gate) if kind == 2 else gate * sigmoid(gate)
        store_floats(into + 4 * i, bent * load_floats(x + 4 * (inner + i)))


@compiled
def turn_head(x, rope, head_dim):
    """RoPE over one head, in which the pairs that are turned are neighbours."""
    for i in range(0, 4 * head_dim, 8):
        a, b = number_at(x + i), number_at(x + i + 4)
        cosine, sine = number_at(rope + i), number_at(rope + i + 4)
        put_number(x + i, a * cosine - b * sine)
        put_number(x + i + 4, a * sine + b * cosine)


@compiled
def store_token(model, layer, heads, position, keys, values, size, pocket):
    """Norm and turn one token's queries and keys at `heads`, and put keys and values behind what the cache holds.

    `keys` and `values` lie as `CompactLayerCache` has them; a head's are `size` bytes.
    """
    queries, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    rope, norms, eps = whole_at(model + ROPE), whole_at(layer + HEAD_NORMS), number_at(model + HEAD_EPS)
    for head in range(queries + kv):
        place = heads + 4 * head * head_dim
        if norms:
            norm_row(place, norms + 4 * head * head_dim, 0, place, head_dim, eps, False)
        if rope:
            turn_head(place, rope + 4 * position * head_dim, head_dim)
    within = position % FOLD
    behind = position // FOLD * FOLD * (head_dim + 4)
    for head in range(kv):
        k, v = heads + 4 * (queries + head) * head_dim, heads + 4 * (queries + kv + head) * head_dim
        block = keys + head * size + behind
        round_row(k, pocket, block + FOLD * head_dim + 4 * within, head_dim)
        for i in range(0, head_dim, 4):
            put_number(block + i * FOLD + 4 * within, number_at(pocket + i))  # four bytes, whatever they are
        block = values + head * size + behind
        round_row(v, pocket, block + FOLD * head_dim + 4 * within, head_dim)
        into = block + within // 2 * 2 * head_dim + within % 2
        for i in range(head_dim):
            copy_byte(into + 2 * i, pocket + i)


@compiled
def round_query(q, into, head_dim):
    """fp32 [D] → bytes -QUERY…QUERY; returns a step of them, and 128 times what they add up to."""
    most = no_floats()
    for i in range(0, head_dim, LANES):
        most = larger(most, without_sign(load_floats(q + 4 * i)))
    largest, total = max(largest_of(most), np.float32(1e-20)), no_floats()
    factor = everywhere(np.float32(QUERY) / largest)
    for i in range(0, head_dim, LANES):
        whole = nearest(load_floats(q + 4 * i) * factor)
        total = total + whole
        store_rounded(into + i, whole)
    return largest / np.float32(QUERY), np.float32(128.0) * sum_of(total)


@compiled
def weigh(scores, total, width, values, head_dim):
    """Softmax over `total` scores, times the steps of the values there, in steps of their own, 16 bits each; 0 from
    there to `width`. They stand where the scores began.

    Returns what one of their steps is worth, and 128 times their sum.
    """
    end = (total + LANES - 1) // LANES * LANES
    for i in range(total, end):
        put_number(scores + 4 * i, np.float32(-np.inf))
    most = everywhere(np.float32(-np.inf))
    for i in range(0, total, LANES):
        most = larger(most, load_floats(scores + 4 * i))
    top, weights = everywhere(largest_of(most)), no_floats()
    whole, most = total // LANES * LANES, no_floats()
    for i in range(0, whole, LANES):
        weight = exponential(load_floats(scores + 4 * i) - top)
        weights = weights + weight
        weight = weight * load_floats(values + i // FOLD * FOLD * (head_dim + 4) + FOLD * head_dim + 4 * (i % FOLD))
        most = larger(most, weight)
        store_floats(scores + 4 * i, weight)
    all_, largest = sum_of(weights), largest_of(most)
    if whole < total:  # steps behind `total` may be anything, and are not to be touched
        store_floats(scores + 4 * whole, exponential(load_floats(scores + 4 * whole) - top))
        steps = values + whole // FOLD * FOLD * (head_dim + 4) + FOLD * head_dim + 4 * (whole % FOLD)
        for i in range(total - whole):
            weight = number_at(scores + 4 * (whole + i))
            all_ += weight
            weight *= number_at(steps + 4 * i)
            largest = max(largest, weight)
            put_number(scores + 4 * (whole + i), weight)
        for i in range(total, end):
            put_number(scores + 4 * i, np.float32(0.0))
    largest = max(largest, np.float32(1e-30))
    factor, sums = everywhere(np.float32(32767.0) / largest), no_floats()
    for i in range(0, total, LANES):
        level = nearest(load_floats(scores + 4 * i) * factor)
        sums = sums + level
        store_shorts(scores + 2 * i, level)
    for i in range(end, (width + 3) // 4 * 4):
        put_no_short(scores + 2 * i)
    return largest / (np.float32(32767.0) * all_), np.float32(128.0) * sum_of(sums)


@compiled
def attend_one(q, keys, values, scores, total, head_dim, scale, into, pocket):
    """One head's query [D] over the first `total` positions of its keys and values; fp32 [D] at `into`."""
    step, shift = round_query(q, pocket, head_dim)
    strip, back, factor = 4 * LANES, everywhere(shift), everywhere(step * scale)
    for first in range(0, total, strip):
        block = keys + first // FOLD * FOLD * (head_dim + 4)
        k, steps = block + 4 * (first % FOLD), block + FOLD * head_dim + 4 * (first % FOLD)
        a, b, c, d = no_ints(), no_ints(), no_ints(), no_ints()
        for i in range(0, head_dim, 4):
            four = four_everywhere(pocket + i)
            a = add_fours(a, load_octets(k), four)
            b = add_fours(b, load_octets(k + WIDTH), four)
            c = add_fours(c, load_octets(k + 2 * WIDTH), four)
            d = add_fours(d, load_octets(k + 3 * WIDTH), four)
            k += 4 * FOLD
        place = scores + 4 * first
        store_floats(place, (as_floats(a) - back) * load_floats(steps) * factor)
        store_floats(place + WIDTH, (as_floats(b) - back) * load_floats(steps + WIDTH) * factor)
        store_floats(place + 2 * WIDTH, (as_floats(c) - back) * load_floats(steps + 2 * WIDTH) * factor)
        store_floats(place + 3 * WIDTH, (as_floats(d) - back) * load_floats(steps + 3 * WIDTH) * factor)
    step, shift = weigh(scores, total, total, values, head_dim)
    factor, back = everywhere(step), everywhere(shift)
    wide = head_dim // strip * strip
    for start in range(0, wide, strip):  # as much of a position as registers hold: memory is read in one go
        f0, f1, f2, f3 = no_floats(), no_floats(), no_floats(), no_floats()
        for first in range(0, total, FOLD):  # so many products fit into 32 bits
            v, w = values + first * (head_dim + 4) + 2 * start, scores + 2 * first
            a, b, c, d = no_ints(), no_ints(), no_ints(), no_ints()
            for _ in range((min(FOLD, total - first) + 1) // 2):
                two = four_everywhere(w)
                a = add_twos(a, load_widened(v), two)
                b = add_twos(b, load_widened(v + 2 * LANES), two)
                c = add_twos(c, load_widened(v + 4 * LANES), two)
                d = add_twos(d, load_widened(v + 6 * LANES), two)
                v, w = v + 2 * head_dim, w + 4
            f0, f1, f2, f3 = f0 + as_floats(a), f1 + as_floats(b), f2 + as_floats(c), f3 + as_floats(d)
        place = into + 4 * start
        store_floats(place, (f0 - back) * factor)
        store_floats(place + WIDTH, (f1 - back) * factor)
        store_floats(place + 2 * WIDTH, (f2 - back) * factor)
        store_floats(place + 3 * WIDTH, (f3 - back) * factor)
    for start in range(wide, head_dim, LANES):
        f = no_floats()
        for first in range(0, total, FOLD):
            v, w = values + first * (head_dim + 4) + 2 * start, scores + 2 * first
            a = no_ints()
            for _ in range((min(FOLD, total - first) + 1) // 2):
                a = add_twos(a, load_widened(v), four_everywhere(w))
                v, w = v + 2 * head_dim, w + 4
            f = f + as_floats(a)
        store_floats(into + 4 * start, (f - back) * factor)


@inlined
def attend_few(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_, pocket, more, count):
    """Three or four queries, `apart` bytes from each other; the first sees `length` positions, the next `more` more.

    Keys and values are read once for all, of which `count` are wanted; D is a multiple of 2·LANES. `room`: bytes from
    one's scores to the next one's; `next_`: bytes from one's result, at `into`, to the next one's.
    """
    p1, p2, p3 = pocket + head_dim, pocket + 2 * head_dim, pocket + 3 * head_dim
    step, shift = round_query(q, pocket, head_dim)
    by0, back0 = everywhere(step * scale), everywhere(shift)
    step, shift = round_query(q + apart, p1, head_dim)
    by1, back1 = everywhere(step * scale), everywhere(shift)
    step, shift = round_query(q + 2 * apart, p2, head_dim)
    by2, back2 = everywhere(step * scale), everywhere(shift)
    step, shift = round_query(q + 3 * apart, p3, head_dim)
    by3, back3 = everywhere(step * scale), everywhere(shift)
    total = length + 3 * more
    for first in range(0, total, LANES):
        block = keys + first // FOLD * FOLD * (head_dim + 4)
        k, steps = block + 4 * (first % FOLD), load_floats(block + FOLD * head_dim + 4 * (first % FOLD))
        a, b, c, d = no_ints(), no_ints(), no_ints(), no_ints()
        for i in range(0, head_dim, 4):
            key = load_octets(k)
            fetch(k + FOLD * (head_dim + 4))  # the next block: nobody reads ahead across pages
            a, b = add_fours(a, key, four_everywhere(pocket + i)), add_fours(b, key, four_everywhere(p1 + i))
            c = add_fours(c, key, four_everywhere(p2 + i))
            if count > 3:
                d = add_fours(d, key, four_everywhere(p3 + i))
            k += 4 * FOLD
        place = scores + 4 * first
        store_floats(place, (as_floats(a) - back0) * steps * by0)
        store_floats(place + room, (as_floats(b) - back1) * steps * by1)
        store_floats(place + 2 * room, (as_floats(c) - back2) * steps * by2)
        if count > 3:
            store_floats(place + 3 * room, (as_floats(d) - back3) * steps * by3)
    step, shift = weigh(scores, length, total, values, head_dim)
    by0, back0 = everywhere(step), everywhere(shift)
    step, shift = weigh(scores + room, length + more, total, values, head_dim)
    by1, back1 = everywhere(step), everywhere(shift)
    step, shift = weigh(scores + 2 * room, length + 2 * more, total, values, head_dim)
    by2, back2 = everywhere(step), everywhere(shift)
    if count > 3:
        step, shift = weigh(scores + 3 * room, total, total, values, head_dim)
        by3, back3 = everywhere(step), everywhere(shift)
    for start in range(0, head_dim, 2 * LANES):
        f0, f1, f2, f3 = no_floats(), no_floats(), no_floats(), no_floats()
        g0, g1, g2, g3 = no_floats(), no_floats(), no_floats(), no_floats()
        for first in range(0, total, FOLD):
            v, w = values + first * (head_dim + 4) + 2 * start, scores + 2 * first
            a0, a1, a2, a3 = no_ints(), no_ints(), no_ints(), no_ints()
            b0, b1, b2, b3 = no_ints(), no_ints(), no_ints(), no_ints()
            for _ in range((min(FOLD, total - first) + 1) // 2):
                a, b = load_widened(v), load_widened(v + 2 * LANES)
                fetch(v + FOLD * (head_dim + 4))
                two = four_everywhere(w)
                a0, b0 = add_twos(a0, a, two), add_twos(b0, b, two)
                two = four_everywhere(w + room)
                a1, b1 = add_twos(a1, a, two), add_twos(b1, b, two)
                two = four_everywhere(w + 2 * room)
                a2, b2 = add_twos(a2, a, two), add_twos(b2, b, two)
                if count > 3:
                    two = four_everywhere(w + 3 * room)
                    a3, b3 = add_twos(a3, a, two), add_twos(b3, b, two)
                v, w = v + 2 * head_dim, w + 4
            f0, f1, f2, f3 = f0 + as_floats(a0), f1 + as_floats(a1), f2 + as_floats(a2), f3 + as_floats(a3)
            g0, g1, g2, g3 = g0 + as_floats(b0), g1 + as_floats(b1), g2 + as_floats(b2), g3 + as_floats(b3)
        place = into + 4 * start
        store_floats(place, (f0 - back0) * by0)
        store_floats(place + WIDTH, (g0 - back0) * by0)
        store_floats(place + next_, (f1 - back1) * by1)
        store_floats(place + next_ + WIDTH, (g1 - back1) * by1)
        store_floats(place + 2 * next_, (f2 - back2) * by2)
        store_floats(place + 2 * next_ + WIDTH, (g2 - back2) * by2)
        if count > 3:
            store_floats(place + 3 * next_, (f3 - back3) * by3)
            store_floats(place + 3 * next_ + WIDTH, (g3 - back3) * by3)


@compiled
def attend_four(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_, pocket, more):
    """`attend_few` for four."""
    attend_few(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_, pocket, more, 4)


@compiled
def attend_three(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_, pocket, more):
    """`attend_few` for three."""
    attend_few(q, apart, keys, values, scores, room, length, head_dim, scale, into, next_, pocket, more, 3)


@compiled
def attend_parts(team, section, model, thread, rows, length, keys, values, size):
    """Heads of up to SOME rows until none is left: each row's query over what was read before it, and itself."""
    heads, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    projected, attended, room = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + ROOM)
    pocket, scale = whole_at(model + POCKETS) + thread * (POCKET + 4 * room), number_at(model + SCALE)
    scores = pocket + POCKET
    apart, next_, group = 4 * (heads + 2 * kv) * head_dim, 4 * heads * head_dim, heads // kv
    if rows == 1 and whole_at(model + TOGETHER):
        fours = (group + 3) // 4
        parts = kv * fours
        part = take_part(team, section, parts)
        while part >= 0:
            head = part // fours * group + part % fours * 4
            some = min(4, group - part % fours * 4)
            q, into, behind = projected + 4 * head * head_dim, attended + 4 * head * head_dim, part // fours * size
            k, v, each, seen = keys + behind, values + behind, 4 * head_dim, length + 1
            if some == 4:
                attend_four(q, each, k, v, scores, room, seen, head_dim, scale, into, each, pocket, 0)
            elif some == 3:
                attend_three(q, each, k, v, scores, room, seen, head_dim, scale, into, each, pocket, 0)
            else:
                for i in range(some):
                    attend_one(q + i * each, k, v, scores, seen, head_dim, scale, into + i * each, pocket)
            part_done(team)
            part = take_part(team, section, parts)
        return parts
    parts = heads * ((rows + SOME - 1) // SOME)
    part = take_part(team, section, parts)
    while part >= 0:
        head, row = part % heads, part // heads * SOME
        last = min(rows, row + SOME)
        k, v = keys + head // group * size, values + head // group * size
        while row < last:
            q, into = projected + row * apart + 4 * head * head_dim, attended + row * next_ + 4 * head * head_dim
            seen = length + row + 1
            if row + 4 <= last and head_dim % (2 * LANES) == 0:
                attend_four(q, apart, k, v, scores, room, seen, head_dim, scale, into, next_, pocket, 1)
                row += 4
            else:
                attend_one(q, k, v, scores, seen, head_dim, scale, into, pocket)
                row += 1
        part_done(team)
        part = take_part(team, section, parts)
    return parts


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
def prepare_row(product, kind, x, weight, bias, eps, between, inputs, rounded, scale, one):
    """What a product reads of the row at `x`: normed, gated or as it is; rounded, but for bf16 weights and one row."""
    if kind in (NORMED, CENTRED):
        norm_row(x, weight, bias, between, inputs, eps, kind == CENTRED)
        x = between
    elif kind != AS_IT_IS:
        gate_row(x, between, inputs, kind)
        x = between
    if not (one and whole_at(product + BITS) == 16):
        rounding(product, x, rounded, scale)


@compiled
def share_product(team, section, thread, model, product, kind, x, apart, weight, bias, y, stride, rows, add):
    """`rows` rows at `x`, `apart` bytes from each other, times a product's weights, by all.

    `kind`: what is done with a row before. Takes two sections, and returns the next.
    """
    rounded, scales, between = whole_at(model + ROUNDED), whole_at(model + ROW_SCALES), whole_at(model + BETWEEN)
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
    scratch = whole_at(model + POCKETS) + thread * (POCKET + 4 * whole_at(model + ROOM))
    multiply(team, section + 1, product, fp32, rounded, scales, y, stride, rows, add, scratch)
    if thread == 0:
        close_parts(team, whole_at(product + PARTS))
    return section + 2


@compiled
def store_parts(team, section, thread, model, layer, rows, length, keys, values, size):
    """`store_token` for all rows; returns the next section."""
    projected = whole_at(model + PROJECTED)
    line = 4 * (whole_at(model + HEADS) + 2 * whole_at(model + KV_HEADS)) * whole_at(model + HEAD_DIM)
    pocket = whole_at(model + POCKETS) + thread * (POCKET + 4 * whole_at(model + ROOM))
    if rows <= 2:
        if thread == 0:
            for row in range(rows):
                store_token(model, layer, projected + row * line, length + row, keys, values, size, pocket)
        return section + 1
    parts = (rows + SOME - 1) // SOME  # few rows a part would have threads write to the same lines
    if thread == 0:
        open_parts(team, section)
    else:
        opened(team, section)
    part = take_part(team, section, parts)
    while part >= 0:
        for row in range(part * SOME, min(rows, part * SOME + SOME)):
            store_token(model, layer, projected + row * line, length + row, keys, values, size, pocket)
        part_done(team)
        part = take_part(team, section, parts)
    if thread == 0:
        close_parts(team, parts)
    return section + 1


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
