"""Attention over the cache: queries in 8 bits times keys, softmax, and values times its weights.

One query goes through a head's positions alone, or three or four together, so that they are read once for all. How keys
and values get into the cache is in `kv_cache.py`.
"""

from __future__ import annotations

import numpy as np

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
from engine.run.compiled.code.kv_cache import FOLD, SOME
from engine.run.compiled.code.memory import (
    fetch,
    four_everywhere,
    load_floats,
    load_octets,
    load_widened,
    number_at,
    store_floats,
    store_rounded,
    whole_at,
)
from engine.run.compiled.code.processor import LANES, VNNI, WIDTH
from engine.run.compiled.code.softmax import weigh
from engine.run.compiled.code.team import compiled, inlined, part_done, take_part
from engine.run.compiled.places import (
    ATTENDED,
    BOTH_WAYS,
    HEAD_DIM,
    HEADS,
    KV_HEADS,
    POCKET,
    POCKETS,
    PROJECTED,
    ROOM,
    SCALE,
    TOGETHER,
)

QUERY = 127 if VNNI else 63  # the largest of a rounded query: a key's byte is up to 255, and two products share 16 bits


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
    """Heads of up to SOME rows until none is left: each row's query over what was read before it, and itself.

    Where tokens look both ways, over all rows.
    """
    heads, kv, head_dim = whole_at(model + HEADS), whole_at(model + KV_HEADS), whole_at(model + HEAD_DIM)
    projected, attended, room = whole_at(model + PROJECTED), whole_at(model + ATTENDED), whole_at(model + ROOM)
    pocket, scale = whole_at(model + POCKETS) + thread * (POCKET + 4 * room), number_at(model + SCALE)
    scores = pocket + POCKET
    apart, next_, group = 4 * (heads + 2 * kv) * head_dim, 4 * heads * head_dim, heads // kv
    more = 0 if whole_at(model + BOTH_WAYS) else 1  # that a row sees and the one before it does not
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
            seen = length + row + 1 if more else length + rows
            if row + 4 <= last and head_dim % (2 * LANES) == 0:
                attend_four(q, apart, k, v, scores, room, seen, head_dim, scale, into, next_, pocket, more)
                row += 4
            else:
                attend_one(q, k, v, scores, seen, head_dim, scale, into, pocket)
                row += 1
        part_done(team)
        part = take_part(team, section, parts)
    return parts
