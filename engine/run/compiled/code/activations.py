"""eˣ and the curves made of it, sigmoid and GELU, for LANES numbers at once; and gates, which are bent by them."""

from __future__ import annotations

import numpy as np

from engine.run.compiled.code.arithmetic import everywhere, larger, nearest, two_to_the
from engine.run.compiled.code.memory import load_floats, store_floats
from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.team import compiled, inlined


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
def gate_row(x, into, inner, kind):
    """fp32 [2, inner], gate and what it lets through → [inner]."""
    for i in range(0, inner, LANES):
        gate = load_floats(x + 4 * i)
        bent = gelu(gate) if kind == 2 else gate * sigmoid(gate)
        store_floats(into + 4 * i, bent * load_floats(x + 4 * (inner + i)))
