"""Softmax over a head's scores, to weights in whole numbers, as `attention.py` multiplies values by them."""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.activations import exponential
from engine.run.compiled.code.arithmetic import everywhere, larger, largest_of, nearest, no_floats, sum_of
from engine.run.compiled.code.kv_cache import FOLD
from engine.run.compiled.code.memory import load_floats, number_at, put_no_short, put_number, store_floats, store_shorts
from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.team import compiled


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
