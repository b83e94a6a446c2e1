"""LayerNorm and RMSNorm of one row, be it a token's or a head's."""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.arithmetic import everywhere, no_floats, sum_of
from engine.run.compiled.code.memory import load_floats, store_floats
from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.team import compiled


@compiled
def norm_row(x, weight, bias, into, width, eps, centred):
    """LayerNorm (`centred`) or RMSNorm of fp32 [width]; weight and bias may be 0, for none."""
    mean = np.float32(0.0)
    if centred:
        total = no_floats()
        for i in range(0, width, LANES):
            total = total + load_floats(x + 4 * i)
        mean = sum_of(total) / np.float32(width)
    middle, square = everywhere(mean), no_floats()
    for i in range(0, width, LANES):
        v = load_floats(x + 4 * i) - middle
        square = square + v * v
    factor = everywhere(np.float32(1.0) / np.sqrt(sum_of(square) / np.float32(width) + eps))
    for i in range(0, width, LANES):
        v = (load_floats(x + 4 * i) - middle) * factor
        if weight:
            v = v * load_floats(weight + 4 * i)
        if bias:
            v = v + load_floats(bias + 4 * i)
        store_floats(into + 4 * i, v)
