"""Rows of fp32 as products read them: in 8 bits with a step a row or a group, or in bf16.

Weights are rounded by torch, once, before: see `linear.py`.
"""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.arithmetic import everywhere, larger, largest_of, nearest, no_floats, sum_of, without_sign
from engine.run.compiled.code.memory import load_floats, put_number, store_bf16, store_rounded, whole_at
from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.team import compiled, inlined
from engine.run.compiled.places import BITS, INPUTS

GROUP = 32  # inputs that share a scale in 4 bits


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
