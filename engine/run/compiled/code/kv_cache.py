"""New tokens' keys and values, normed and turned, put into the cache; their queries are normed and turned, too.

The cache is `CompactLayerCache` of the decoder's `kv_cache.py`, which makes room in it; `attention.py` reads it.
"""

from __future__ import annotations

from engine.run.compiled.code.memory import copy_byte, number_at, put_number, whole_at
from engine.run.compiled.code.norms import norm_row
from engine.run.compiled.code.rope import turn_head
from engine.run.compiled.code.rounding import round_row
from engine.run.compiled.code.team import close_parts, compiled, open_parts, opened, part_done, take_part
from engine.run.compiled.places import (
    HEAD_DIM,
    HEAD_EPS,
    HEAD_NORMS,
    HEADS,
    KV_HEADS,
    POCKET,
    POCKETS,
    PROJECTED,
    ROOM,
    ROPE,
)

FOLD = 64  # positions in a block of keys and values: COMPACT in the decoder's `kv_cache.py`
SOME = 32  # rows whose heads, keys and values are a part


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
