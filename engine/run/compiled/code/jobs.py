"""What a team does: read tokens, or multiply many rows; the leader's way in, and the helpers' loop."""

from __future__ import annotations

from engine.run.compiled.code.atomics import breathe, tell, watched
from engine.run.compiled.code.memory import whole_at
from engine.run.compiled.code.products import multiply
from engine.run.compiled.code.rounding import rounding, row_bytes, scale_bytes
from engine.run.compiled.code.team import (
    close_parts,
    compiled,
    open_parts,
    opened,
    part_done,
    take_part,
)
from engine.run.compiled.code.tokens import (
    SECTIONS,
    read_tokens,
)
from engine.run.compiled.places import (
    ARGUMENTS,
    CALL,
    FIRST,
    INPUTS,
    KIND,
    LAYERS,
    PARTS,
    READ,
    SECTION,
    TILE,
)

IDLE = 20_000  # moments, of some 20 ns, that a helper waits for the next job before it sleeps


@compiled
def multiply_many(team, section, thread, product, x, rounded, scales, y, stride, rows, add, scratch):
    """fp32 rows [rows, inputs] at `x` times a product's weights, rounding them together, too."""
    tiles, inputs = (rows + TILE - 1) // TILE, whole_at(product + INPUTS)
    size, line = scale_bytes(product), row_bytes(product)
    if thread == 0:
        open_parts(team, section)
    else:
        opened(team, section)
    tile = take_part(team, section, tiles)
    while tile >= 0:
        for row in range(tile * TILE, min(rows, tile * TILE + TILE)):
            rounding(product, x + 4 * row * inputs, rounded + row * line, scales + row * size)
        part_done(team)
        tile = take_part(team, section, tiles)
    if thread == 0:
        close_parts(team, tiles)
        open_parts(team, section + 1)
    else:
        opened(team, section + 1)
    multiply(team, section + 1, product, x, rounded, scales, y, stride, rows, add, scratch)
    if thread == 0:
        close_parts(team, whole_at(product + PARTS))


@compiled
def lead(team, kind, a, b, c, d, e, f, g, h):
    """Do a job, with all helpers that come."""
    call, first = whole_at(team + CALL), whole_at(team + SECTION)
    tell(team + CALL, call + 1)
    tell(team + KIND, kind)
    tell(team + FIRST, first)
    for number, value in enumerate((a, b, c, d, e, f, g, h)):
        tell(team + ARGUMENTS + 8 * number, value)
    tell(team + CALL, call + 2)
    if kind == READ:
        tell(team + SECTION, first + SECTIONS * whole_at(a + LAYERS) + 2)
        read_tokens(team, first, 0, a, b, c, d, e, f, g, h)
    else:
        tell(team + SECTION, first + 2)
        multiply_many(team, first, 0, a, b, c, d, e, f, g, h != 0, 0)


@compiled
def help_(team, thread, call):
    """Help with jobs after number `call` until there has been none for a while; returns the last one's number."""
    idle = 0
    while idle < IDLE:
        now = watched(team + CALL)
        if now == call or now % 2:
            idle += 1
            breathe()
            continue
        kind, first = watched(team + KIND), watched(team + FIRST)
        a, b = watched(team + ARGUMENTS), watched(team + ARGUMENTS + 8)
        c, d = watched(team + ARGUMENTS + 16), watched(team + ARGUMENTS + 24)
        e, f = watched(team + ARGUMENTS + 32), watched(team + ARGUMENTS + 40)
        g, h = watched(team + ARGUMENTS + 48), watched(team + ARGUMENTS + 56)
        if watched(team + CALL) != now:
            continue  # the next one was being written over it
        call, idle = now, 0
        if kind == READ:
            read_tokens(team, first, thread, a, b, c, d, e, f, g, h)
        else:
            multiply_many(team, first, thread, a, b, c, d, e, f, g, h != 0, 0)
    return call


@compiled
def enter(team, thread, call, kind, a, b, c, d, e, f, g, h):
    """The one way in, so that everything is compiled and kept once: `lead` for thread 0, `help_` for others."""
    if thread == 0:
        lead(team, kind, a, b, c, d, e, f, g, h)
        return 0
    return help_(team, thread, call)
