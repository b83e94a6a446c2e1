"""A linear layer with what comes before it, a norm or a gate, over rows that threads share out.

The multiplying itself is in `products.py`.
"""

from __future__ import annotations

from engine.run.compiled.code.activations import gate_row
from engine.run.compiled.code.memory import number_at, whole_at
from engine.run.compiled.code.norms import norm_row
from engine.run.compiled.code.products import multiply
from engine.run.compiled.code.rounding import rounding, row_bytes, scale_bytes
from engine.run.compiled.code.team import close_parts, compiled, open_parts, opened, part_done, take_part
from engine.run.compiled.places import (
    BETWEEN,
    BITS,
    EPS,
    INPUTS,
    PARTS,
    POCKET,
    POCKETS,
    ROOM,
    ROUNDED,
    ROW_SCALES,
    TILE,
)

AS_IT_IS, NORMED, CENTRED = 0, 3, 4  # what is done with a product's rows before; in between, the kinds of GATE


@compiled
def prepare_row(product, kind, x, weight, bias, eps, between, inputs, rounded, scale, one):
    """What a product reads of the row at `x`: normed, gated or as it is; rounded, but for bf16 weights and one row."""
    if kind in (NORMED, CENTRED):
        norm_row(x, weight, bias, between, inputs, eps, kind == CENTRED)
        x = between
    elif kind != AS_IT_IS:
        gate_row(x, between, inputs, kind)
        x = between
    if not (one and whole_at(product + BITS) == 16):
        rounding(product, x, rounded, scale)


@compiled
def share_product(team, section, thread, model, product, kind, x, apart, weight, bias, y, stride, rows, add):
    """`rows` rows at `x`, `apart` bytes from each other, times a product's weights, by all.

    `kind`: what is done with a row before. Takes two sections, and returns the next.
    """
    rounded, scales, between = whole_at(model + ROUNDED), whole_at(model + ROW_SCALES), whole_at(model + BETWEEN)
    inputs, size, line = whole_at(product + INPUTS), scale_bytes(product), row_bytes(product)
    eps, one = number_at(model + EPS), rows == 1
    if rows <= 2:
        if thread == 0:
            for row in range(rows):
                prepare_row(
                    product, kind, x + row * apart, weight, bias, eps,
                    between + 4 * row * inputs, inputs, rounded + row * line, scales + row * size, one,
                )  # fmt: skip
    else:
        parts = (rows + TILE - 1) // TILE
        if thread == 0:
            open_parts(team, section)
        else:
            opened(team, section)
        part = take_part(team, section, parts)
        while part >= 0:
            for row in range(part * TILE, min(rows, part * TILE + TILE)):
                prepare_row(
                    product, kind, x + row * apart, weight, bias, eps,
                    between + 4 * row * inputs, inputs, rounded + row * line, scales + row * size, one,
                )  # fmt: skip
            part_done(team)
            part = take_part(team, section, parts)
        if thread == 0:
            close_parts(team, parts)
    if thread == 0:
        open_parts(team, section + 1)
    else:
        opened(team, section + 1)
    fp32 = x if kind == AS_IT_IS else between
    scratch = whole_at(model + POCKETS) + thread * (POCKET + 4 * whole_at(model + ROOM))
    multiply(team, section + 1, product, fp32, rounded, scales, y, stride, rows, add, scratch)
    if thread == 0:
        close_parts(team, whole_at(product + PARTS))
    return section + 2
