"""The processor's vector registers as values that compiled functions calculate with: LANES numbers side by side.

numba compiles Python's loops, but leaves to LLVM which of them become vector instructions, and the ones that multiply
8-bit numbers it does not find. So here is a small vocabulary of them, for x86 with AVX-512 and VNNI (16 lanes) or with
AVX2 (8 lanes): `floats` and `ints` of LANES numbers, `octets` of 4·LANES bytes; loading and storing at an address, and
what is done with them. Addresses are plain integers, in bytes.
"""

from __future__ import annotations

import functools
import operator
import os
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

from engine.run.compiled.code.processor import LANES, VNNI

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_F32 = ir.FloatType()
_FLOATS, _INTS, _OCTETS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES), ir.VectorType(_I8, 4 * LANES)
_SHORTS = ir.VectorType(_I16, LANES)


class _BF16(ir.Type):
    """LLVM's `bfloat`, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BF16)

    def __hash__(self) -> int:
        return hash(_BF16)


_CONTRACT = ("contract",)  # a product and a sum may become one instruction, rounded once


class Register(types.Type):
    """A vector register's type in compiled code."""

    def __init__(self, name: str, machine: ir.VectorType) -> None:
        self.machine = machine
        super().__init__(name)


floats, ints, octets = Register("floats", _FLOATS), Register("ints", _INTS), Register("octets", _OCTETS)


@register_model(Register)
class _RegisterModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Register) -> None:
        super().__init__(manager, kind, kind.machine)


Make = Callable[..., Any]


def _word(result: types.Type, *arguments: types.Type) -> Callable[[Make], Any]:
    """A word of the vocabulary out of `make`, which gets LLVM's builder and the arguments."""

    def wrap(make: Make) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = make(builder, *values)
            return context.get_dummy_value() if result is types.void else made

        def typing(context: Any, *_: Any) -> Any:
            return result(*arguments), generate

        return intrinsic(functools.update_wrapper(typing, make, ("__module__", "__name__", "__qualname__", "__doc__")))

    return wrap


def _at(builder: Any, address: Any, kind: Any = _I64) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


def _load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    loaded = builder.load(_at(builder, address, kind), typ=kind)
    loaded.align = align
    return loaded


def _store(builder: Any, value: Any, address: Any, align: int) -> None:
    builder.store(value, _at(builder, address, value.type)).align = align


def _everywhere(builder: Any, value: Any, kind: ir.VectorType) -> Any:
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))


def _call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)


A = types.int64  # an address


@_word(floats, A)
def load_floats(builder: Any, address: Any) -> Any:
    """LANES numbers in fp32."""
    return _load(builder, address, _FLOATS, 4)


@_word(floats, A)
def load_bf16(builder: Any, address: Any) -> Any:
    """LANES numbers in bf16: the upper halves of those in fp32."""
    wide = builder.zext(_load(builder, address, _SHORTS, 2), _INTS)
    return builder.bitcast(builder.shl(wide, ir.Constant(_INTS, [16] * LANES)), _FLOATS)


@_word(octets, A)
def load_widened(builder: Any, address: Any) -> Any:
    """2·LANES bytes from 0 to 255, each in 16 bits."""
    wide = ir.VectorType(_I16, 2 * LANES)
    return builder.bitcast(builder.zext(_load(builder, address, ir.VectorType(_I8, 2 * LANES), 1), wide), _OCTETS)


@_word(octets, A)
def load_octets(builder: Any, address: Any) -> Any:
    """4·LANES bytes."""
    return _load(builder, address, _OCTETS, 1)


@_word(ints, A)
def load_ints(builder: Any, address: Any) -> Any:
    """LANES whole numbers of 32 bits."""
    return _load(builder, address, _INTS, 4)


@_word(octets, A)
def four_everywhere(builder: Any, address: Any) -> Any:
    """Four bytes, LANES times."""
    return builder.bitcast(_everywhere(builder, _load(builder, address, _I32, 1), _INTS), _OCTETS)


@_word(floats, A)
def one_everywhere(builder: Any, address: Any) -> Any:
    """One number in fp32, LANES times."""
    return _everywhere(builder, _load(builder, address, _F32, 4), _FLOATS)


@_word(floats, types.float32)
def everywhere(builder: Any, value: Any) -> Any:
    """A number LANES times."""
    return _everywhere(builder, value, _FLOATS)


@_word(types.void, A, floats)
def store_floats(builder: Any, address: Any, value: Any) -> None:
    _store(builder, value, address, 4)


@_word(types.void, A, floats)
def store_bf16(builder: Any, address: Any, value: Any) -> None:
    """The nearest numbers in bf16, halves to the even one: the upper 16 bits, after adding half of the lower ones."""
    bits = builder.bitcast(value, _INTS)
    odd = builder.and_(builder.lshr(bits, ir.Constant(_INTS, [16] * LANES)), ir.Constant(_INTS, [1] * LANES))
    bits = builder.add(builder.add(bits, odd), ir.Constant(_INTS, [0x7FFF] * LANES))
    _store(builder, builder.trunc(builder.lshr(bits, ir.Constant(_INTS, [16] * LANES)), _SHORTS), address, 2)


@_word(types.void, A, floats)
def store_shorts(builder: Any, address: Any, value: Any) -> None:
    """LANES whole numbers of at most 16 bits."""
    _store(builder, builder.trunc(builder.fptosi(value, _INTS), _SHORTS), address, 2)


@_word(types.void, A, floats)
def store_rounded(builder: Any, address: Any, value: Any) -> None:
    """LANES whole numbers from -128 to 127, each as a byte."""
    small = ir.VectorType(_I8, LANES)
    _store(builder, builder.trunc(builder.fptosi(value, _INTS), small), address, 1)


@_word(ints)
def no_ints(builder: Any) -> Any:
    return ir.Constant(_INTS, [0] * LANES)


@_word(floats)
def no_floats(builder: Any) -> Any:
    return ir.Constant(_FLOATS, [0.0] * LANES)


@_word(ints, ints, octets, octets)
def add_fours(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """`sums` and in each lane four products of an unsigned byte with a signed one. Without VNNI, two neighbouring
    products must not add up to more than 16 bits hold."""
    if VNNI:
        return _call(builder, "llvm.x86.avx512.vpdpbusd.512", _INTS, sums, unsigned, signed)
    pairs = _call(builder, "llvm.x86.avx2.pmadd.ub.sw", ir.VectorType(_I16, 2 * LANES), unsigned, signed)
    ones = ir.Constant(ir.VectorType(_I16, 2 * LANES), [1] * (2 * LANES))
    return builder.add(sums, _call(builder, "llvm.x86.avx2.pmadd.wd", _INTS, pairs, ones))


@_word(floats, floats, octets, octets)
def add_pairs(builder: Any, sums: Any, a: Any, b: Any) -> Any:
    """`sums` and in each lane two products of bf16, for processors that have it."""
    pairs = ir.VectorType(_BF16(), 2 * LANES)
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    return _call(builder, name, _FLOATS, sums, builder.bitcast(a, pairs), builder.bitcast(b, pairs))


@_word(floats, floats, floats)
def neighbours(builder: Any, a: Any, b: Any) -> Any:
    """Sums of neighbouring lanes, `a`'s in the lower half: done four times, 16 registers become their 16 sums."""
    even = ir.Constant(ir.VectorType(_I32, LANES), list(range(0, 2 * LANES, 2)))
    odd = ir.Constant(ir.VectorType(_I32, LANES), list(range(1, 2 * LANES, 2)))
    return builder.fadd(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd))


def _quarter(number: int) -> Any:
    """A word: the quarters with this number of four registers, side by side."""

    @_word(floats, floats, floats, floats, floats)
    def quarters(builder: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        size = LANES // 4
        two = ir.VectorType(_I32, 2 * size)
        which = [number * size + lane for lane in range(size)]
        half = ir.Constant(two, [*which, *(LANES + lane for lane in which)])
        whole = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))
        return builder.shuffle_vector(builder.shuffle_vector(a, b, half), builder.shuffle_vector(c, d, half), whole)

    return quarters


first_quarters, second_quarters, third_quarters, fourth_quarters = map(_quarter, range(4))


@_word(ints, ints, octets, octets)
def add_twos(builder: Any, sums: Any, a: Any, b: Any) -> Any:
    """`sums` and in each lane two products of signed 16 bits."""
    twos = ir.VectorType(_I16, 2 * LANES)
    name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
    return builder.add(sums, _call(builder, name, _INTS, builder.bitcast(a, twos), builder.bitcast(b, twos)))


@_word(octets, octets)
def low_halves(builder: Any, value: Any) -> Any:
    """The lower four bits of each byte."""
    return builder.and_(value, ir.Constant(_OCTETS, [15] * (4 * LANES)))


@_word(octets, octets)
def high_halves(builder: Any, value: Any) -> Any:
    """The upper four bits of each byte."""
    return builder.lshr(value, ir.Constant(_OCTETS, [4] * (4 * LANES)))


@_word(floats, ints)
def as_floats(builder: Any, value: Any) -> Any:
    return builder.sitofp(value, _FLOATS)


@_word(floats, floats, floats)
def _add(builder: Any, a: Any, b: Any) -> Any:
    return builder.fadd(a, b, flags=_CONTRACT)


@_word(floats, floats, floats)
def _subtract(builder: Any, a: Any, b: Any) -> Any:
    return builder.fsub(a, b, flags=_CONTRACT)


@_word(floats, floats, floats)
def _multiply(builder: Any, a: Any, b: Any) -> Any:
    return builder.fmul(a, b, flags=_CONTRACT)


@_word(floats, floats, floats)
def _divide(builder: Any, a: Any, b: Any) -> Any:
    return builder.fdiv(a, b)


@_word(ints, ints, ints)
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


@_word(floats, floats, floats)
def larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@_word(floats, floats)
def without_sign(builder: Any, value: Any) -> Any:
    return _call(builder, f"llvm.fabs.v{LANES}f32", _FLOATS, value)


@_word(floats, floats)
def nearest(builder: Any, value: Any) -> Any:
    """The nearest whole numbers, halves to the even one."""
    return _call(builder, f"llvm.rint.v{LANES}f32", _FLOATS, value)


@_word(floats, floats)
def two_to_the(builder: Any, whole: Any) -> Any:
    """2ⁿ for whole numbers from -126 to 127: their bits are n + 127 in the exponent's place."""
    bits = builder.add(builder.fptosi(whole, _INTS), ir.Constant(_INTS, [127] * LANES))
    return builder.bitcast(builder.shl(bits, ir.Constant(_INTS, [23] * LANES)), _FLOATS)


@_word(types.float32, floats)
def sum_of(builder: Any, value: Any) -> Any:
    left = LANES
    while left > 1:  # the upper half onto the lower one
        left //= 2
        upper = ir.Constant(ir.VectorType(_I32, left), list(range(left, 2 * left)))
        lower = ir.Constant(ir.VectorType(_I32, left), list(range(left)))
        nothing = ir.Constant(value.type, ir.Undefined)
        value = builder.fadd(
            builder.shuffle_vector(value, nothing, lower), builder.shuffle_vector(value, nothing, upper)
        )
    return builder.extract_element(value, ir.Constant(_I32, 0))


@_word(types.float32, floats)
def largest_of(builder: Any, value: Any) -> Any:
    return _call(builder, f"llvm.vector.reduce.fmax.v{LANES}f32", _F32, value)


@_word(A, A)
def whole_at(builder: Any, address: Any) -> Any:
    """A whole number of 64 bits."""
    return _load(builder, address, _I64, 8)


@_word(types.float32, A)
def number_at(builder: Any, address: Any) -> Any:
    """A number in fp32."""
    return _load(builder, address, _F32, 4)


@_word(types.void, A, types.float32)
def put_number(builder: Any, address: Any, value: Any) -> None:
    _store(builder, value, address, 4)


@_word(types.void, A, A)
def copy_byte(builder: Any, into: Any, address: Any) -> None:
    _store(builder, _load(builder, address, _I8, 1), into, 1)


@_word(types.void, A)
def put_no_short(builder: Any, address: Any) -> None:
    """0 in 16 bits."""
    _store(builder, ir.Constant(_I16, 0), address, 2)


@_word(types.void, A)
def fetch(builder: Any, address: Any) -> None:
    """Have a cache line brought here that will be wanted soon."""
    where = builder.inttoptr(address, ir.PointerType())
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), where, *(ir.Constant(_I32, number) for number in (0, 3, 1)))


@_word(A, A)
def watched(builder: Any, address: Any) -> Any:
    """A whole number that another thread may be changing, with all that it wrote before."""
    return builder.load_atomic(_at(builder, address), "acquire", 8, typ=_I64)


@_word(types.void, A, A)
def tell(builder: Any, address: Any, value: Any) -> None:
    """Set what another thread watches, after all that was written before."""
    builder.store_atomic(value, _at(builder, address), "release", 8)


@_word(A, A, A)
def count_up(builder: Any, address: Any, by: Any) -> Any:
    """Add to what several threads count; returns what was there."""
    return builder.atomic_rmw("add", _at(builder, address), by, "acq_rel")


@_word(types.boolean, A, A, A)
def exchanged(builder: Any, address: Any, expected: Any, new: Any) -> Any:
    """Set what several threads set, if it still is what was expected; returns whether it was."""
    both = builder.cmpxchg(_at(builder, address), expected, new, "acq_rel", "acquire")
    return builder.extract_value(both, 1)


@_word(types.void)
def breathe(builder: Any) -> None:
    """Have the core's other half go first, while waiting."""
    _call(builder, "llvm.x86.sse2.pause", ir.VoidType())


@_word(types.void)
def give_way(builder: Any) -> None:
    """Have another thread go first that wants this core, if any does."""
    if os.name == "posix":
        _call(builder, "sched_yield", _I32)
