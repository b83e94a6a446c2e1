"""Rows in 8 bits times a block of weights in 4, with a step and a zero point for each group of inputs.

How weights lie is told in `products.py`, how a row's groups do in `rounding.py`.
"""

from __future__ import annotations

from engine.run.compiled.code.arithmetic import add_fours, as_floats, high_halves, low_halves, no_floats, no_ints
from engine.run.compiled.code.memory import four_everywhere, load_bf16, load_octets, one_everywhere, whole_at
from engine.run.compiled.code.outputs import finish
from engine.run.compiled.code.processor import LANES, WIDTH
from engine.run.compiled.code.rounding import GROUP
from engine.run.compiled.code.team import compiled, inlined
from engine.run.compiled.places import INPUTS, SCALES, WEIGHTS


@inlined
def add_group(total, x, scale, step, zero, v0, v1, v2, v3, v4, v5, v6, v7):
    """Add what a group's weights, (level - 8)·step + zero, say to a row's 32 inputs."""
    even = add_fours(no_ints(), v0, four_everywhere(x))
    odd = add_fours(no_ints(), v1, four_everywhere(x + 4))
    even = add_fours(even, v2, four_everywhere(x + 8))
    odd = add_fours(odd, v3, four_everywhere(x + 12))
    even = add_fours(even, v4, four_everywhere(x + 16))
    odd = add_fours(odd, v5, four_everywhere(x + 20))
    even = add_fours(even, v6, four_everywhere(x + 24))
    odd = add_fours(odd, v7, four_everywhere(x + 28))
    levels = as_floats(even + odd) * one_everywhere(scale) - one_everywhere(scale + 4)
    return total + levels * step + zero * one_everywhere(scale + 8)


@compiled
def block_of_4(product, block, x, scale, y, add):
    """One row times a block of 4-bit weights."""
    groups = whole_at(product + INPUTS) // GROUP
    w = whole_at(product + WEIGHTS) + block * groups * 4 * WIDTH
    steps = whole_at(product + SCALES) + block * groups * WIDTH
    total = no_floats()
    for _ in range(groups):
        a, b = load_octets(w), load_octets(w + WIDTH)
        c, d = load_octets(w + 2 * WIDTH), load_octets(w + 3 * WIDTH)
        step, zero = load_bf16(steps), load_bf16(steps + 2 * LANES)
        total = add_group(
            total, x, scale, step, zero,
            low_halves(a), high_halves(a), low_halves(b), high_halves(b),
            low_halves(c), high_halves(c), low_halves(d), high_halves(d),
        )  # fmt: skip
        w, steps, x, scale = w + 4 * WIDTH, steps + WIDTH, x + GROUP, scale + 12
    finish(product, total, block, y, add)


@compiled
def tile_of_4(product, block, x, scale, y, stride, rows, add):
    """As `tile_of_8`, with 4-bit weights."""
    inputs = whole_at(product + INPUTS)
    groups = inputs // GROUP
    w = whole_at(product + WEIGHTS) + block * groups * 4 * WIDTH
    steps = whole_at(product + SCALES) + block * groups * WIDTH
    size = 12 * groups
    t0, t1, t2, t3 = no_floats(), no_floats(), no_floats(), no_floats()
    t4, t5, t6, t7 = no_floats(), no_floats(), no_floats(), no_floats()
    for _ in range(groups):
        a, b = load_octets(w), load_octets(w + WIDTH)
        c, d = load_octets(w + 2 * WIDTH), load_octets(w + 3 * WIDTH)
        step, zero = load_bf16(steps), load_bf16(steps + 2 * LANES)
        v0, v1, v2, v3 = low_halves(a), high_halves(a), low_halves(b), high_halves(b)
        v4, v5, v6, v7 = low_halves(c), high_halves(c), low_halves(d), high_halves(d)
        t0 = add_group(t0, x, scale, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t1 = add_group(t1, x + inputs, scale + size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t2 = add_group(t2, x + 2 * inputs, scale + 2 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t3 = add_group(t3, x + 3 * inputs, scale + 3 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t4 = add_group(t4, x + 4 * inputs, scale + 4 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t5 = add_group(t5, x + 5 * inputs, scale + 5 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t6 = add_group(t6, x + 6 * inputs, scale + 6 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        t7 = add_group(t7, x + 7 * inputs, scale + 7 * size, step, zero, v0, v1, v2, v3, v4, v5, v6, v7)
        w, steps, x, scale = w + 4 * WIDTH, steps + WIDTH, x + GROUP, scale + 12
    finish(product, t0, block, y, add)
    if rows > 1:
        finish(product, t1, block, y + stride, add)
    if rows > 2:
        finish(product, t2, block, y + 2 * stride, add)
    if rows > 3:
        finish(product, t3, block, y + 3 * stride, add)
    if rows > 4:
        finish(product, t4, block, y + 4 * stride, add)
    if rows > 5:
        finish(product, t5, block, y + 5 * stride, add)
    if rows > 6:
        finish(product, t6, block, y + 6 * stride, add)
    if rows > 7:
        finish(product, t7, block, y + 7 * stride, add)
