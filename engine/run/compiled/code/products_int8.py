"""Rows in 8 bits times a block of weights in 8; how these lie is told in `products.py`."""

from __future__ import annotations

from engine.run.compiled.code.arithmetic import add_fours, as_floats, no_ints
from engine.run.compiled.code.memory import (
    four_everywhere,
    load_floats,
    load_ints,
    load_octets,
    one_everywhere,
    whole_at,
)
from engine.run.compiled.code.outputs import finish
from engine.run.compiled.code.processor import LANES, WIDTH
from engine.run.compiled.code.team import compiled, inlined
from engine.run.compiled.places import INPUTS, SCALES, SHIFTS, WEIGHTS


@inlined
def scaled(product, sums, block, scale):
    return as_floats(sums) * load_floats(whole_at(product + SCALES) + WIDTH * block) * one_everywhere(scale)


@compiled
def block_of_8(product, block, x, scale, y, add):
    """One row times a block of 8-bit weights."""
    inputs = whole_at(product + INPUTS)
    w = whole_at(product + WEIGHTS) + block * inputs * LANES
    a = load_ints(whole_at(product + SHIFTS) + WIDTH * block)
    b, c, d = no_ints(), no_ints(), no_ints()
    for i in range(0, inputs, 16):
        a = add_fours(a, four_everywhere(x + i), load_octets(w + LANES * i))
        b = add_fours(b, four_everywhere(x + i + 4), load_octets(w + LANES * i + WIDTH))
        c = add_fours(c, four_everywhere(x + i + 8), load_octets(w + LANES * i + 2 * WIDTH))
        d = add_fours(d, four_everywhere(x + i + 12), load_octets(w + LANES * i + 3 * WIDTH))
    finish(product, scaled(product, a + b + (c + d), block, scale), block, y, add)


@inlined
def add_to_eight(s0, s1, s2, s3, s4, s5, s6, s7, x, apart, v):
    """The sums of eight rows, `apart` bytes from each other, and what four inputs of each at `x` give with `v`."""
    return (
        add_fours(s0, four_everywhere(x), v),
        add_fours(s1, four_everywhere(x + apart), v),
        add_fours(s2, four_everywhere(x + 2 * apart), v),
        add_fours(s3, four_everywhere(x + 3 * apart), v),
        add_fours(s4, four_everywhere(x + 4 * apart), v),
        add_fours(s5, four_everywhere(x + 5 * apart), v),
        add_fours(s6, four_everywhere(x + 6 * apart), v),
        add_fours(s7, four_everywhere(x + 7 * apart), v),
    )


@inlined
def finish_eight(product, s0, s1, s2, s3, s4, s5, s6, s7, block, scale, y, stride, rows, add):
    finish(product, scaled(product, s0, block, scale), block, y, add)
    if rows > 1:
        finish(product, scaled(product, s1, block, scale + 4), block, y + stride, add)
    if rows > 2:
        finish(product, scaled(product, s2, block, scale + 8), block, y + 2 * stride, add)
    if rows > 3:
        finish(product, scaled(product, s3, block, scale + 12), block, y + 3 * stride, add)
    if rows > 4:
        finish(product, scaled(product, s4, block, scale + 16), block, y + 4 * stride, add)
    if rows > 5:
        finish(product, scaled(product, s5, block, scale + 20), block, y + 5 * stride, add)
    if rows > 6:
        finish(product, scaled(product, s6, block, scale + 24), block, y + 6 * stride, add)
    if rows > 7:
        finish(product, scaled(product, s7, block, scale + 28), block, y + 7 * stride, add)


@compiled
def tile_of_8(product, block, x, scale, y, stride, rows, add):
    """Eight rows, of which `rows` are wanted, times a block of 8-bit weights; y's rows are `stride` bytes apart."""
    inputs = whole_at(product + INPUTS)
    w = whole_at(product + WEIGHTS) + block * inputs * LANES
    a0 = load_ints(whole_at(product + SHIFTS) + WIDTH * block)
    a1, a2, a3, a4, a5, a6, a7 = a0, a0, a0, a0, a0, a0, a0
    for i in range(0, inputs, 4):
        v = load_octets(w + LANES * i)
        a0, a1, a2, a3, a4, a5, a6, a7 = add_to_eight(a0, a1, a2, a3, a4, a5, a6, a7, x + i, inputs, v)
    finish_eight(product, a0, a1, a2, a3, a4, a5, a6, a7, block, scale, y, stride, rows, add)


@compiled
def wide_tile_of_8(product, block, x, scale, y, stride, rows, add):
    """As `tile_of_8`, times two blocks: what is read of a row is used twice. It needs all of AVX-512's registers."""
    inputs = whole_at(product + INPUTS)
    w = whole_at(product + WEIGHTS) + block * inputs * LANES
    w2 = w + inputs * LANES
    shifts = whole_at(product + SHIFTS) + WIDTH * block
    a0, b0 = load_ints(shifts), load_ints(shifts + WIDTH)
    a1, a2, a3, a4, a5, a6, a7 = a0, a0, a0, a0, a0, a0, a0
    b1, b2, b3, b4, b5, b6, b7 = b0, b0, b0, b0, b0, b0, b0
    for i in range(0, inputs, 4):
        v, v2 = load_octets(w + LANES * i), load_octets(w2 + LANES * i)
        a0, a1, a2, a3, a4, a5, a6, a7 = add_to_eight(a0, a1, a2, a3, a4, a5, a6, a7, x + i, inputs, v)
        b0, b1, b2, b3, b4, b5, b6, b7 = add_to_eight(b0, b1, b2, b3, b4, b5, b6, b7, x + i, inputs, v2)
    finish_eight(product, a0, a1, a2, a3, a4, a5, a6, a7, block, scale, y, stride, rows, add)
    finish_eight(product, b0, b1, b2, b3, b4, b5, b6, b7, block + 1, scale, y, stride, rows, add)
