"""Rows times weights, compiled: weights in 8 or 4 bits against inputs in 8, or in bf16 against fp32.

Rounded weights lie in blocks of LANES outputs. In a block, four inputs of the first output are followed by the same
four of the second and so on: one register, which one instruction multiplies by four inputs and adds to LANES sums. With
4 bits a register holds two such, in the lower and upper halves of its bytes. Several rows go through a block eight at a
time, so that weights are read once for eight; where there are 32 registers through two blocks of 8 bits, so that rows,
too, are read once for two.

Here is which blocks a thread takes, and how many rows with each; what is done with a block is in `products_int8.py`,
`products_int4.py` and `products_bf16.py`, how rows are made ready for it in `rounding.py`.

A product is described by whole numbers at the places of `places.py` from its address on; inputs are what `rounding`
makes of rows, or fp32 rows themselves.
"""

from __future__ import annotations

from engine.run.compiled.code.memory import whole_at
from engine.run.compiled.code.processor import LANES, VNNI
from engine.run.compiled.code.products_bf16 import block_of_16, tile_of_16, wide_block_of_16
from engine.run.compiled.code.products_int4 import block_of_4, tile_of_4
from engine.run.compiled.code.products_int8 import block_of_8, tile_of_8, wide_tile_of_8
from engine.run.compiled.code.rounding import scale_bytes
from engine.run.compiled.code.team import compiled, part_done, take_part
from engine.run.compiled.places import BITS, BLOCKS, INPUTS, OUTPUTS, PARTS, TILE

WIDE = 1024  # inputs of which 16 rows in bf16 do not stay in the first cache


@compiled
def multiply(team, section, product, x, rounded, scale, y, stride, rows, add, scratch):
    """Do parts of a product of `rows` rows, until none is left.

    One row of bf16 weights' inputs is taken as it stands at `x`, in fp32; all others as `rounding` made them, with room
    for whole tiles. `add`: to what stands at y. `scratch`: this thread's pocket.
    """
    bits, inputs = whole_at(product + BITS), whole_at(product + INPUTS)
    blocks, parts = whole_at(product + BLOCKS), whole_at(product + PARTS)
    size = scale_bytes(product)
    step = 2 if VNNI and bits == 8 and rows > 1 else 1  # blocks that go together
    steps = (blocks + step - 1) // step
    part = take_part(team, section, parts)
    while part >= 0:
        for block in range(part * steps // parts * step, min(blocks, (part + 1) * steps // parts * step), step):
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
                    bytes_, scales, out = rounded + row * inputs, scale + row * size, y + row * stride
                    if step == 2 and block + 1 < blocks:
                        wide_tile_of_8(product, block, bytes_, scales, out, stride, some, add)
                    elif bits == 8:
                        tile_of_8(product, block, bytes_, scales, out, stride, some, add)
                    else:
                        tile_of_4(product, block, bytes_, scales, out, stride, some, add)
        part_done(team)
        part = take_part(team, section, parts)
