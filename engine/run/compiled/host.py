"""What processors the compiled functions are for, and which of them this one is."""

from __future__ import annotations

import os
import platform
import sys
from functools import lru_cache
from pathlib import Path

# The name of a file of machine code → what LLVM calls the processor, and what Linux calls what it must have.
TARGETS = {
    "x86_64-avx512-vnni": ("cooperlake", "avx512f avx512bw avx512dq avx512vl avx512_vnni f16c fma bmi2"),
    "x86_64-avx2": ("haswell", "avx2 f16c fma bmi2"),
}
CODE = Path(__file__).parent / "machine_code"
OFF = "HOMESPUN_NO_MACHINE_CODE"  # in the environment: do without it, or without what it names


def lanes(target: str) -> int:
    """32-bit numbers in a register of `target`."""
    return 16 if "avx512" in target else 8


@lru_cache(maxsize=1)
def target() -> str:
    """The best of TARGETS that this processor can do and whose file is here; "" for none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return ""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].partition("\n")[0].split())
    except OSError:
        return ""
    without = os.environ.get(OFF, "")
    return next(
        (
            name
            for name, (_, wanted) in TARGETS.items()
            if flags.issuperset(wanted.split()) and file(name).exists() and without not in ("1", name)
        ),
        "",
    )


def file(target: str) -> Path:
    """The machine code for `target`."""
    return CODE / f"{target}.so"
