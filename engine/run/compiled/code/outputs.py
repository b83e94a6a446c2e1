"""What is done with a product's outputs before they are written down: bias, GELU, and adding to what stands there."""

from __future__ import annotations

from engine.run.compiled.code.activations import gelu
from engine.run.compiled.code.memory import load_floats, number_at, put_number, store_floats, whole_at
from engine.run.compiled.code.processor import WIDTH
from engine.run.compiled.code.team import inlined
from engine.run.compiled.places import AFTER, BIAS


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
def put_output(product, output, value, y, add):
    bias = whole_at(product + BIAS)
    if bias:
        value += number_at(bias + 4 * output)
    if add:
        value += number_at(y + 4 * output)
    put_number(y + 4 * output, value)
