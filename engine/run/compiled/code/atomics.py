"""Words for what threads tell each other: numbers in memory that one of them writes and others watch.

How work is shared out with them is told in `team.py`.
"""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types

from engine.run.compiled.code.registers import I32, I64, WHOLE, at, call, word


@word(WHOLE, WHOLE)
def watched(builder: Any, address: Any) -> Any:
    """A whole number that another thread may be changing, with all that it wrote before."""
    return builder.load_atomic(at(builder, address), "acquire", 8, typ=I64)


@word(types.void, WHOLE, WHOLE)
def tell(builder: Any, address: Any, value: Any) -> None:
    """Set what another thread watches, after all that was written before."""
    builder.store_atomic(value, at(builder, address), "release", 8)


@word(WHOLE, WHOLE, WHOLE)
def count_up(builder: Any, address: Any, by: Any) -> Any:
    """Add to what several threads count; returns what was there."""
    return builder.atomic_rmw("add", at(builder, address), by, "acq_rel")


@word(types.boolean, WHOLE, WHOLE, WHOLE)
def exchanged(builder: Any, address: Any, expected: Any, new: Any) -> Any:
    """Set what several threads set, if it still is what was expected; returns whether it was."""
    both = builder.cmpxchg(at(builder, address), expected, new, "acq_rel", "acquire")
    return builder.extract_value(both, 1)


@word(types.void)
def breathe(builder: Any) -> None:
    """Have the core's other half go first, while waiting."""
    call(builder, "llvm.x86.sse2.pause", ir.VoidType())


@word(types.void)
def give_way(builder: Any) -> None:
    """Have another thread go first that wants this core, if any does."""
    if os.name == "posix":
        call(builder, "sched_yield", I32)
