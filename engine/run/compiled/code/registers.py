"""The processor's vector registers as values that compiled functions calculate with: LANES numbers side by side.

numba compiles Python's loops, but leaves to LLVM which of them become vector instructions, and the ones that multiply
8-bit numbers it does not find. So there is a small vocabulary of them, for x86 with AVX-512 and VNNI (16 lanes) or with
AVX2 (8 lanes). Here are its types, `floats` and `ints` of LANES numbers and `octets` of 4·LANES bytes, and what words
are made with. The words are in `memory.py`, `arithmetic.py` and `atomics.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from engine.run.compiled.code.processor import LANES

# LLVM's types: of one number, and of a register full.
I8, I16, I32, I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
F32 = ir.FloatType()
FLOATS, INTS, OCTETS = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES), ir.VectorType(I8, 4 * LANES)
SHORTS = ir.VectorType(I16, LANES)


class Register(types.Type):
    """A vector register's type in compiled code."""

    def __init__(self, name: str, machine: ir.VectorType) -> None:
        self.machine = machine
        super().__init__(name)


floats, ints, octets = Register("floats", FLOATS), Register("ints", INTS), Register("octets", OCTETS)
WHOLE = types.int64  # a whole number; addresses are such, in bytes


@register_model(Register)
class _RegisterModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Register) -> None:
        super().__init__(manager, kind, kind.machine)


Make = Callable[..., Any]


def word(result: types.Type, *arguments: types.Type) -> Callable[[Make], Any]:
    """A word of the vocabulary out of `make`, which gets LLVM's builder and the arguments."""

    def wrap(make: Make) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = make(builder, *values)
            return context.get_dummy_value() if result is types.void else made

        def typing(context: Any, *_: Any) -> Any:
            return result(*arguments), generate

        return intrinsic(functools.update_wrapper(typing, make, ("__module__", "__name__", "__qualname__", "__doc__")))

    return wrap


def at(builder: Any, address: Any, kind: Any = I64) -> Any:
    """`address` as a pointer to a `kind`."""
    return builder.inttoptr(address, kind.as_pointer())


def load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    """The `kind` at `address`, which is a multiple of `align`."""
    loaded = builder.load(at(builder, address, kind), typ=kind)
    loaded.align = align
    return loaded


def store(builder: Any, value: Any, address: Any, align: int) -> None:
    """Put `value` at `address`, which is a multiple of `align`."""
    builder.store(value, at(builder, address, value.type)).align = align


def spread(builder: Any, value: Any, kind: ir.VectorType) -> Any:
    """`value` in each lane of a `kind`."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count))


def call(builder: Any, name: str, result: Any, *values: Any) -> Any:
    """What a function outside gives, or one of LLVM's own, for an instruction."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
