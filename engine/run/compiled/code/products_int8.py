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


@compiled
def tile_of_8(product, block, x, scale, y, stride, rows, add):
    """Eight rows, of which `rows` are wanted, times a block of 8-bit weights; y's rows are `stride` bytes apart."""
    inputs = whole_at(product + INPUTS)
    w = whole_at(product + WEIGHTS) + block * inputs * LANES
    shifts = load_ints(whole_at(product + SHIFTS) + WIDTH * block)
    s0, s1, s2, s3, s4, s5, s6, s7 = shifts, shifts, shifts, shifts, shifts, shifts, shifts, shifts
    for i in range(0, inputs, 4):
        v = load_octets(w + LANES * i)
        s0 = add_fours(s0, four_everywhere(x + i), v)
        s1 = add_fours(s1, four_everywhere(x + i + inputs), v)
        s2 = add_fours(s2, four_everywhere(x + i + 2 * inputs), v)
        s3 = add_fours(s3, four_everywhere(x + i + 3 * inputs), v)
        s4 = add_fours(s4, four_everywhere(x + i + 4 * inputs), v)
        s5 = add_fours(s5, four_everywhere(x + i + 5 * inputs), v)
        s6 = add_fours(s6, four_everywhere(x + i + 6 * inputs), v)
        s7 = add_fours(s7, four_everywhere(x + i + 7 * inputs), v)
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
