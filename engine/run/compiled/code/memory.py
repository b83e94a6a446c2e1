"""Words for memory: numbers at an address, LANES of them into a register and out of it, or one alone.

Addresses are plain integers, in bytes. What several threads read and write is in `atomics.py`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from engine.run.compiled.code.processor import LANES
from engine.run.compiled.code.registers import (
    F32,
    FLOATS,
    I8,
    I16,
    I32,
    I64,
    INTS,
    OCTETS,
    SHORTS,
    WHOLE,
    call,
    floats,
    ints,
    load,
    octets,
    spread,
    store,
    word,
)


@word(floats, WHOLE)
def load_floats(builder: Any, address: Any) -> Any:
    """LANES numbers in fp32."""
    return load(builder, address, FLOATS, 4)


@word(floats, WHOLE)
def load_bf16(builder: Any, address: Any) -> Any:
    """LANES numbers in bf16: the upper halves of those in fp32."""
    wide = builder.zext(load(builder, address, SHORTS, 2), INTS)
    return builder.bitcast(builder.shl(wide, ir.Constant(INTS, [16] * LANES)), FLOATS)


@word(octets, WHOLE)
def load_widened(builder: Any, address: Any) -> Any:
    """2·LANES bytes from 0 to 255, each in 16 bits."""
    wide = ir.VectorType(I16, 2 * LANES)
    return builder.bitcast(builder.zext(load(builder, address, ir.VectorType(I8, 2 * LANES), 1), wide), OCTETS)


@word(octets, WHOLE)
def load_octets(builder: Any, address: Any) -> Any:
    """4·LANES bytes."""
    return load(builder, address, OCTETS, 1)


@word(ints, WHOLE)
def load_ints(builder: Any, address: Any) -> Any:
    """LANES whole numbers of 32 bits."""
    return load(builder, address, INTS, 4)


@word(octets, WHOLE)
def four_everywhere(builder: Any, address: Any) -> Any:
    """Four bytes, LANES times."""
    return builder.bitcast(spread(builder, load(builder, address, I32, 1), INTS), OCTETS)


@word(floats, WHOLE)
def one_everywhere(builder: Any, address: Any) -> Any:
    """One number in fp32, LANES times."""
    return spread(builder, load(builder, address, F32, 4), FLOATS)


@word(types.void, WHOLE, floats)
def store_floats(builder: Any, address: Any, value: Any) -> None:
    store(builder, value, address, 4)


@word(types.void, WHOLE, floats)
def store_bf16(builder: Any, address: Any, value: Any) -> None:
    """The nearest numbers in bf16, halves to the even one: the upper 16 bits, after adding half of the lower ones."""
    bits = builder.bitcast(value, INTS)
    odd = builder.and_(builder.lshr(bits, ir.Constant(INTS, [16] * LANES)), ir.Constant(INTS, [1] * LANES))
    bits = builder.add(builder.add(bits, odd), ir.Constant(INTS, [0x7FFF] * LANES))
    store(builder, builder.trunc(builder.lshr(bits, ir.Constant(INTS, [16] * LANES)), SHORTS), address, 2)


@word(types.void, WHOLE, floats)
def store_shorts(builder: Any, address: Any, value: Any) -> None:
    """LANES whole numbers of at most 16 bits."""
    store(builder, builder.trunc(builder.fptosi(value, INTS), SHORTS), address, 2)


@word(types.void, WHOLE, floats)
def store_rounded(builder: Any, address: Any, value: Any) -> None:
    """LANES whole numbers from -128 to 127, each as a byte."""
    small = ir.VectorType(I8, LANES)
    store(builder, builder.trunc(builder.fptosi(value, INTS), small), address, 1)


@word(WHOLE, WHOLE)
def whole_at(builder: Any, address: Any) -> Any:
    """A whole number of 64 bits."""
    return load(builder, address, I64, 8)


@word(types.float32, WHOLE)
def number_at(builder: Any, address: Any) -> Any:
    """A number in fp32."""
    return load(builder, address, F32, 4)


@word(types.void, WHOLE, types.float32)
def put_number(builder: Any, address: Any, value: Any) -> None:
    store(builder, value, address, 4)


@word(types.void, WHOLE, WHOLE)
def copy_byte(builder: Any, into: Any, address: Any) -> None:
    store(builder, load(builder, address, I8, 1), into, 1)


@word(types.void, WHOLE)
def put_no_short(builder: Any, address: Any) -> None:
    """0 in 16 bits."""
    store(builder, ir.Constant(I16, 0), address, 2)


@word(types.void, WHOLE)
def fetch(builder: Any, address: Any) -> None:
    """Have a cache line brought here that will be wanted soon."""
    where = builder.inttoptr(address, ir.PointerType())
    call(builder, "llvm.prefetch.p0", ir.VoidType(), where, *(ir.Constant(I32, number) for number in (0, 3, 1)))
