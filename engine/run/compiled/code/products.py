"""Rows times weights, compiled: weights in 8 or 4 bits against inputs in 8, or in bf16 against fp32.

Rounded weights lie in blocks of LANES outputs. In a block, four inputs of the first output are followed by the same
four of the second and so on: one register, which one instruction multiplies by four inputs and adds to LANES sums. With
4 bits a register holds two such, in the lower and upper halves of its bytes. Several rows go through a block eight at a
time, so that weights are read once for eight.

A product is described by whole numbers at the places of `places.py` from its address on; inputs are what `rounding`
makes of rows, or fp32 rows themselves.
"""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.arithmetic import (
    add_fours,
    add_pairs,
    as_floats,
    everywhere,
    first_quarters,
    fourth_quarters,
    high_halves,
    larger,
    largest_of,
    low_halves,
    nearest,
    neighbours,
    no_floats,
    no_ints,
    second_quarters,
    sum_of,
    third_quarters,
    two_to_the,
    without_sign,
)
from engine.run.compiled.code.memory import (
    four_everywhere,
    load_bf16,
    load_floats,
    load_ints,
    load_octets,
    number_at,
    one_everywhere,
    put_number,
    store_bf16,
    store_floats,
    store_rounded,
    whole_at,
)
from engine.run.compiled.code.processor import (
    LANES,
    VNNI,
)
from engine.run.compiled.code.team import (
    compiled,
    inlined,
    part_done,
    take_part,
)
from engine.run.compiled.places import (
    AFTER,
    BIAS,
    BITS,
    BLOCKS,
    INPUTS,
    OUTPUTS,
    PARTS,
    SCALES,
    SHIFTS,
    TILE,
    WEIGHTS,
)

GROUP = 32  # inputs that share a scale in 4 bits
WIDTH = 4 * LANES  # bytes in a register
WIDE = 1024  # inputs of which 16 rows in bf16 do not stay in the first cache


@inlined
def exponential(x):
    """eˣ: 2ⁿ times the Taylor polynomial of what is left, within 2·10⁻⁷ of it."""
    x = larger(x, everywhere(np.float32(-87.0)))
    x = everywhere(np.float32(0.0)) - larger(everywhere(np.float32(0.0)) - x, everywhere(np.float32(-88.0)))
    whole = nearest(x * everywhere(np.float32(1.44269504)))
    rest = x - whole * everywhere(np.float32(0.693359375)) + whole * everywhere(np.float32(2.12194440e-4))
    y = everywhere(np.float32(1 / 720))
    y = y * rest + everywhere(np.float32(1 / 120))
    y = y * rest + everywhere(np.float32(1 / 24))
    y = y * rest + everywhere(np.float32(1 / 6))
    y = y * rest + everywhere(np.float32(0.5))
    one = everywhere(np.float32(1.0))
    return ((y * rest + one) * rest + one) * two_to_the(whole)


@inlined
def sigmoid(x):
    one = everywhere(np.float32(1.0))
    return one / (one + exponential(everywhere(np.float32(0.0)) - x))


@inlined
def gelu(x):
    """Its approximation by tanh, which is 2·sigmoid(2u) - 1."""
    cube = x * x * x
    return x * sigmoid((x + cube * everywhere(np.float32(0.044715))) * everywhere(np.float32(1.5957691216)))


@compiled
def round_row(x, into, scale, inputs):
    """fp32 [inputs] at `x` → bytes 1…255 (0 is 128) at `into`, in steps of the number at `scale`."""
    most = no_floats()
    for i in range(0, inputs, LANES):
        most = larger(most, without_sign(load_floats(x + 4 * i)))
    largest = max(largest_of(most), np.float32(1e-20))
    put_number(scale, largest / np.float32(127.0))
    factor, middle = everywhere(np.float32(127.0) / largest), everywhere(np.float32(128.0))
    for i in range(0, inputs, LANES):
        store_rounded(into + i, nearest(load_floats(x + 4 * i) * factor) + middle)


@compiled
def round_groups(x, into, scale, inputs):
    """The same by groups, to bytes -127…127; at `scale` three numbers each: the step, and its sum times 8 and once."""
    for group in range(inputs // GROUP):
        most = no_floats()
        for i in range(group * GROUP, group * GROUP + GROUP, LANES):
            most = larger(most, without_sign(load_floats(x + 4 * i)))
        largest = max(largest_of(most), np.float32(1e-20))
        step = largest / np.float32(127.0)
        factor, total = everywhere(np.float32(127.0) / largest), no_floats()
        for i in range(group * GROUP, group * GROUP + GROUP, LANES):
            whole = nearest(load_floats(x + 4 * i) * factor)
            total = total + whole
            store_rounded(into + i, whole)
        sums = step * sum_of(total)
        put_number(scale + 12 * group, step)
        put_number(scale + 12 * group + 4, np.float32(8.0) * sums)
        put_number(scale + 12 * group + 8, sums)


@inlined
def scale_bytes(product):
    """Bytes at `scale` for one row."""
    return 12 * (whole_at(product + INPUTS) // GROUP) if whole_at(product + BITS) == 4 else 4


@compiled
def to_bf16(x, into, inputs):
    for i in range(0, inputs, LANES):
        store_bf16(into + 2 * i, load_floats(x + 4 * i))


@inlined
def row_bytes(product):
    """Bytes of a row as `rounding` makes it."""
    return whole_at(product + INPUTS) * (2 if whole_at(product + BITS) == 16 else 1)


@inlined
def rounding(product, x, rounded, scale):
    """A row as `product` takes it."""
    bits = whole_at(product + BITS)
    if bits == 8:
        round_row(x, rounded, scale, whole_at(product + INPUTS))
    elif bits == 4:
        round_groups(x, rounded, scale, whole_at(product + INPUTS))
    else:
        to_bf16(x, rounded, whole_at(product + INPUTS))


@inlined
def finish(product, value, block, y, add):
    """Bring LANES outputs where they belong: y, fp32 [outputs, filled up to whole blocks]."""
    bias = whole_at(product + BIAS)
    if bias:
        value = value + load_floats(bias + WIDTH * block)
    if whole_at(product + AFTER) == 1:
        value = gelu(value)
    place = y + WIDTH * block
    if add:
        value = value + load_floats(place)
    store_floats(place, value)


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


@inlined
def put_output(product, output, value, y, add):
    bias = whole_at(product + BIAS)
    if bias:
        value += number_at(bias + 4 * output)
    if add:
        value += number_at(y + 4 * output)
    put_number(y + 4 * output, value)


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


@compiled
def multiply(team, section, product, x, rounded, scale, y, stride, rows, add, scratch):
    """Do parts of a product of `rows` rows, until none is left.

    One row of bf16 weights' inputs is taken as it stands at `x`, in fp32; all others as `rounding` made them, with room
    for whole tiles. `add`: to what stands at y. `scratch`: this thread's pocket.
    """
    bits, inputs = whole_at(product + BITS), whole_at(product + INPUTS)
    blocks, parts = whole_at(product + BLOCKS), whole_at(product + PARTS)
    size = scale_bytes(product)
    part = take_part(team, section, parts)
    while part >= 0:
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            if bits == 16 and rows == 1:
                block_of_16(product, block, x, y, add)
            elif bits == 16 and inputs > WIDE and block * LANES + LANES <= whole_at(product + OUTPUTS):
                wide_block_of_16(product, block, rounded, y, stride, rows, add, scratch)
            elif bits == 16:
                for row in range(0, rows, 4):
                    out = y + row * stride
                    tile_of_16(
                        product, block, rounded + 2 * row * inputs, out, stride, min(4, rows - row), add, scratch
                    )
            elif rows == 1:
                if bits == 8:
                    block_of_8(product, block, rounded, scale, y, add)
                else:
                    block_of_4(product, block, rounded, scale, y, add)
            else:
                for row in range(0, rows, TILE):
                    some = min(TILE, rows - row)
                    bytes_, steps, out = rounded + row * inputs, scale + row * size, y + row * stride
                    if bits == 8:
                        tile_of_8(product, block, bytes_, steps, out, stride, some, add)
                    else:
                        tile_of_4(product, block, bytes_, steps, out, stride, some, add)
        part_done(team)
        part = take_part(team, section, parts)
