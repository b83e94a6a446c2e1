"""Rows times a block of weights in bf16, whose rows lie as they come: one row in fp32, several in bf16.

Only processors that multiply bf16 are asked for several.
"""

from __future__ import annotations

from engine.run.compiled.code.arithmetic import (
    add_pairs,
    first_quarters,
    fourth_quarters,
    neighbours,
    no_floats,
    second_quarters,
    sum_of,
    third_quarters,
)
from engine.run.compiled.code.memory import load_bf16, load_floats, load_octets, number_at, store_floats, whole_at
from engine.run.compiled.code.outputs import finish, put_output
from engine.run.compiled.code.processor import LANES, VNNI, WIDTH
from engine.run.compiled.code.team import compiled, inlined
from engine.run.compiled.places import INPUTS, OUTPUTS, WEIGHTS


@compiled
def row_of_16(w, x, inputs):
    """A row of bf16 weights times one in fp32: sums that are still to be added up."""
    whole = inputs // (4 * LANES) * (4 * LANES)
    a, b, c, d = no_floats(), no_floats(), no_floats(), no_floats()
    for i in range(0, whole, 4 * LANES):
        a = a + load_bf16(w + 2 * i) * load_floats(x + 4 * i)
        b = b + load_bf16(w + 2 * i + 2 * LANES) * load_floats(x + 4 * i + 4 * LANES)
        c = c + load_bf16(w + 2 * i + 4 * LANES) * load_floats(x + 4 * i + 8 * LANES)
        d = d + load_bf16(w + 2 * i + 6 * LANES) * load_floats(x + 4 * i + 12 * LANES)
    for i in range(whole, inputs, LANES):
        a = a + load_bf16(w + 2 * i) * load_floats(x + 4 * i)
    return a + b + (c + d)


@inlined
def four_of_16(w, size, x, inputs):
    """Four rows' sums, one after the other: that is how memory is read ahead."""
    a, b = row_of_16(w, x, inputs), row_of_16(w + size, x, inputs)
    c, d = row_of_16(w + 2 * size, x, inputs), row_of_16(w + 3 * size, x, inputs)
    return neighbours(neighbours(a, b), neighbours(c, d))


@compiled
def block_of_16(product, block, x, y, add):
    """One row in fp32 times LANES of bf16 weights' rows, which lie as they come."""
    inputs, outputs = whole_at(product + INPUTS), whole_at(product + OUTPUTS)
    size, first = 2 * inputs, block * LANES
    w = whole_at(product + WEIGHTS) + first * size
    if first + LANES <= outputs and LANES == 16:
        low = neighbours(four_of_16(w, size, x, inputs), four_of_16(w + 4 * size, size, x, inputs))
        high = neighbours(four_of_16(w + 8 * size, size, x, inputs), four_of_16(w + 12 * size, size, x, inputs))
        finish(product, neighbours(low, high), block, y, add)
    else:
        for output in range(first, min(first + LANES, outputs)):
            put_output(product, output, sum_of(row_of_16(w + (output - first) * size, x, inputs)), y, add)


def _four_by_four(w, size, x, inputs):
    """Four rows of bf16 weights times four of bf16 inputs, along the inputs; 16 sums, an input's four side by side."""
    s00, s01, s02, s03 = no_floats(), no_floats(), no_floats(), no_floats()
    s10, s11, s12, s13 = no_floats(), no_floats(), no_floats(), no_floats()
    s20, s21, s22, s23 = no_floats(), no_floats(), no_floats(), no_floats()
    s30, s31, s32, s33 = no_floats(), no_floats(), no_floats(), no_floats()
    line = 2 * inputs
    for _ in range(inputs // (2 * LANES)):
        a, b = load_octets(w), load_octets(w + size)
        c, d = load_octets(w + 2 * size), load_octets(w + 3 * size)
        v = load_octets(x)
        s00, s01, s02, s03 = add_pairs(s00, a, v), add_pairs(s01, b, v), add_pairs(s02, c, v), add_pairs(s03, d, v)
        v = load_octets(x + line)
        s10, s11, s12, s13 = add_pairs(s10, a, v), add_pairs(s11, b, v), add_pairs(s12, c, v), add_pairs(s13, d, v)
        v = load_octets(x + 2 * line)
        s20, s21, s22, s23 = add_pairs(s20, a, v), add_pairs(s21, b, v), add_pairs(s22, c, v), add_pairs(s23, d, v)
        v = load_octets(x + 3 * line)
        s30, s31, s32, s33 = add_pairs(s30, a, v), add_pairs(s31, b, v), add_pairs(s32, c, v), add_pairs(s33, d, v)
        w, x = w + WIDTH, x + WIDTH
    first = neighbours(neighbours(s00, s01), neighbours(s02, s03))
    second = neighbours(neighbours(s10, s11), neighbours(s12, s13))
    third = neighbours(neighbours(s20, s21), neighbours(s22, s23))
    fourth = neighbours(neighbours(s30, s31), neighbours(s32, s33))
    return neighbours(neighbours(first, second), neighbours(third, fourth))


def _no_tiles(w, size, x, inputs):
    """For processors without bf16, which are never asked for it."""
    return no_floats()


four_by_four = compiled(_four_by_four if VNNI else _no_tiles)


@compiled
def tile_of_16(product, block, x, y, stride, rows, add, scratch):
    """Four rows in bf16, of which `rows` are wanted, times LANES rows of bf16 weights; `scratch` has room for those."""
    inputs, outputs = whole_at(product + INPUTS), whole_at(product + OUTPUTS)
    size, first, last = 2 * inputs, block * LANES, max(outputs - 4, 0)
    w = whole_at(product + WEIGHTS)
    if first + LANES > outputs:  # what is not there is not read: the last rows are taken once more instead
        for row in range(rows):
            for output in range(first, outputs):
                start = min(first + (output - first) // 4 * 4, last)
                store_floats(scratch, four_by_four(w + start * size, size, x, inputs))
                value = number_at(scratch + 16 * row + 4 * (output - start))
                put_output(product, output, value, y + row * stride, add)
        return
    w += first * size
    a, b = four_by_four(w, size, x, inputs), four_by_four(w + 4 * size, size, x, inputs)
    c, d = four_by_four(w + 8 * size, size, x, inputs), four_by_four(w + 12 * size, size, x, inputs)
    finish(product, first_quarters(a, b, c, d), block, y, add)
    if rows > 1:
        finish(product, second_quarters(a, b, c, d), block, y + stride, add)
    if rows > 2:
        finish(product, third_quarters(a, b, c, d), block, y + 2 * stride, add)
    if rows > 3:
        finish(product, fourth_quarters(a, b, c, d), block, y + 3 * stride, add)


@compiled
def wide_block_of_16(product, block, x, y, stride, rows, add, scratch):
    """As `tile_of_16` for all rows, four weights' rows with all inputs before the next four: they stay near the core.

    For many inputs, of which 16 rows would not. `scratch` has room for the block's sums for all rows.
    """
    inputs, first = whole_at(product + INPUTS), block * LANES
    size, tiles = 2 * inputs, (rows + 3) // 4
    for quarter in range(4):
        w = whole_at(product + WEIGHTS) + (first + 4 * quarter) * size
        for tile in range(tiles):
            store_floats(scratch + (4 * tile + quarter) * WIDTH, four_by_four(w, size, x + 4 * tile * size, inputs))
    for tile in range(tiles):
        place, out = scratch + 4 * tile * WIDTH, y + 4 * tile * stride
        a, b = load_floats(place), load_floats(place + WIDTH)
        c, d = load_floats(place + 2 * WIDTH), load_floats(place + 3 * WIDTH)
        some = min(4, rows - 4 * tile)
        finish(product, first_quarters(a, b, c, d), block, out, add)
        if some > 1:
            finish(product, second_quarters(a, b, c, d), block, out + stride, add)
        if some > 2:
            finish(product, third_quarters(a, b, c, d), block, out + 2 * stride, add)
        if some > 3:
            finish(product, fourth_quarters(a, b, c, d), block, out + 3 * stride, add)
