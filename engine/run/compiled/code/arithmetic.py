"""Words for calculating with registers: what is done in each lane, between lanes, and to all of them.

A word is one instruction or a few; what is made of words is Python again, for numba to compile.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import overload

from engine.run.compiled.code.processor import LANES, VNNI
from engine.run.compiled.code.registers import (
    F32,
    FLOATS,
    I16,
    I32,
    INTS,
    OCTETS,
    call,
    floats,
    ints,
    octets,
    spread,
    word,
)


class _BF16(ir.Type):
    """LLVM's `bfloat`, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BF16)

    def __hash__(self) -> int:
        return hash(_BF16)


_CONTRACT = ("contract",)  # a product and a sum may become one instruction, rounded once


@word(floats, types.float32)
def everywhere(builder: Any, value: Any) -> Any:
    """A number LANES times."""
    return spread(builder, value, FLOATS)


@word(ints)
def no_ints(builder: Any) -> Any:
    return ir.Constant(INTS, [0] * LANES)


@word(floats)
def no_floats(builder: Any) -> Any:
    return ir.Constant(FLOATS, [0.0] * LANES)


@word(ints, ints, octets, octets)
def add_fours(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """`sums` and in each lane four products of an unsigned byte with a signed one. Without VNNI, two neighbouring
    products must not add up to more than 16 bits hold."""
    if VNNI:
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, sums, unsigned, signed)
    pairs = call(builder, "llvm.x86.avx2.pmadd.ub.sw", ir.VectorType(I16, 2 * LANES), unsigned, signed)
    ones = ir.Constant(ir.VectorType(I16, 2 * LANES), [1] * (2 * LANES))
    return builder.add(sums, call(builder, "llvm.x86.avx2.pmadd.wd", INTS, pairs, ones))


@word(floats, floats, octets, octets)
def add_pairs(builder: Any, sums: Any, a: Any, b: Any) -> Any:
    """`sums` and in each lane two products of bf16, for processors that have it."""
    pairs = ir.VectorType(_BF16(), 2 * LANES)
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    return call(builder, name, FLOATS, sums, builder.bitcast(a, pairs), builder.bitcast(b, pairs))


@word(floats, floats, floats)
def neighbours(builder: Any, a: Any, b: Any) -> Any:
    """Sums of neighbouring lanes, `a`'s in the lower half: done four times, 16 registers become their 16 sums."""
    even = ir.Constant(ir.VectorType(I32, LANES), list(range(0, 2 * LANES, 2)))
    odd = ir.Constant(ir.VectorType(I32, LANES), list(range(1, 2 * LANES, 2)))
    return builder.fadd(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd))


def _quarter(number: int) -> Any:
    """A word: the quarters with this number of four registers, side by side."""

    @word(floats, floats, floats, floats, floats)
    def quarters(builder: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        size = LANES // 4
        two = ir.VectorType(I32, 2 * size)
        which = [number * size + lane for lane in range(size)]
        half = ir.Constant(two, [*which, *(LANES + lane for lane in which)])
        whole = ir.Constant(ir.VectorType(I32, LANES), list(range(LANES)))
        return builder.shuffle_vector(builder.shuffle_vector(a, b, half), builder.shuffle_vector(c, d, half), whole)

    return quarters


first_quarters, second_quarters, third_quarters, fourth_quarters = map(_quarter, range(4))


@word(ints, ints, octets, octets)
def add_twos(builder: Any, sums: Any, a: Any, b: Any) -> Any:
    """`sums` and in each lane two products of signed 16 bits."""
    twos = ir.VectorType(I16, 2 * LANES)
    name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
    return builder.add(sums, call(builder, name, INTS, builder.bitcast(a, twos), builder.bitcast(b, twos)))


@word(octets, octets)
def low_halves(builder: Any, value: Any) -> Any:
    """The lower four bits of each byte."""
    return builder.and_(value, ir.Constant(OCTETS, [15] * (4 * LANES)))


@word(octets, octets)
def high_halves(builder: Any, value: Any) -> Any:
    """The upper four bits of each byte."""
    return builder.lshr(value, ir.Constant(OCTETS, [4] * (4 * LANES)))


@word(floats, ints)
def as_floats(builder: Any, value: Any) -> Any:
    return builder.sitofp(value, FLOATS)


@word(floats, floats, floats)
def _add(builder: Any, a: Any, b: Any) -> Any:
    return builder.fadd(a, b, flags=_CONTRACT)


@word(floats, floats, floats)
def _subtract(builder: Any, a: Any, b: Any) -> Any:
    return builder.fsub(a, b, flags=_CONTRACT)


@word(floats, floats, floats)
def _multiply(builder: Any, a: Any, b: Any) -> Any:
    return builder.fmul(a, b, flags=_CONTRACT)


@word(floats, floats, floats)
def _divide(builder: Any, a: Any, b: Any) -> Any:
    return builder.fdiv(a, b)


@word(ints, ints, ints)
def _add_ints(builder: Any, a: Any, b: Any) -> Any:
    return builder.add(a, b)


def _operator(symbol: Any, ours: Any, whole: Any = None) -> None:
    """Have `symbol` between registers be a word of these."""

    @overload(symbol)
    def choose(a, b):  # no types: numba compares it with what it returns
        if a is floats and b is floats:
            return lambda a, b: ours(a, b)
        if whole is not None and a is ints and b is ints:
            return lambda a, b: whole(a, b)
        return None


_operator(operator.add, _add, _add_ints)
_operator(operator.sub, _subtract)
_operator(operator.mul, _multiply)
_operator(operator.truediv, _divide)


@word(floats, floats, floats)
def larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@word(floats, floats)
def without_sign(builder: Any, value: Any) -> Any:
    return call(builder, f"llvm.fabs.v{LANES}f32", FLOATS, value)


@word(floats, floats)
def nearest(builder: Any, value: Any) -> Any:
    """The nearest whole numbers, halves to the even one."""
    return call(builder, f"llvm.rint.v{LANES}f32", FLOATS, value)


@word(floats, floats)
def two_to_the(builder: Any, whole: Any) -> Any:
    """2ⁿ for whole numbers from -126 to 127: their bits are n + 127 in the exponent's place."""
    bits = builder.add(builder.fptosi(whole, INTS), ir.Constant(INTS, [127] * LANES))
    return builder.bitcast(builder.shl(bits, ir.Constant(INTS, [23] * LANES)), FLOATS)


@word(types.float32, floats)
def sum_of(builder: Any, value: Any) -> Any:
    left = LANES
    while left > 1:  # the upper half onto the lower one
        left //= 2
        upper = ir.Constant(ir.VectorType(I32, left), list(range(left, 2 * left)))
        lower = ir.Constant(ir.VectorType(I32, left), list(range(left)))
        nothing = ir.Constant(value.type, ir.Undefined)
        value = builder.fadd(
            builder.shuffle_vector(value, nothing, lower), builder.shuffle_vector(value, nothing, upper)
        )
    return builder.extract_element(value, ir.Constant(I32, 0))


@word(types.float32, floats)
def largest_of(builder: Any, value: Any) -> Any:
    return call(builder, f"llvm.vector.reduce.fmax.v{LANES}f32", F32, value)
