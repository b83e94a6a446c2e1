"""Where the model runs and in which precision, chosen once at load and said in one line that people can read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.errors import DeviceError
from engine.run.compiled.linear import compiles
from engine.run.linear import Precision
from engine.run.linear_half import has_half
from engine.run.linear_int import has_int4, has_int8
from engine.run.processor import has_bf16, quick_int4

# What activations and whatever is no matrix are kept in, for weights of each precision, where bf16 is native.
PRECISIONS: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "int8": torch.bfloat16,
    "int4": torch.bfloat16,
}


@dataclass(frozen=True)
class Placement:
    """A device, the weights' precision, and the sentence about both."""

    device: torch.device
    dtype: torch.dtype
    precision: Precision  # of the linear layers
    note: str


def available() -> list[str]:
    """Devices torch can use here, the fastest first; cpu always is the last."""
    found = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def choose(device: str = "auto", precision: str = "auto") -> Placement:
    """Turn the wishes into a placement; "auto" takes the fastest device and the precision that is quickest on it.

    Raises:
        DeviceError: the device is unknown or not there, or the precision is unknown.
    """
    here = available()
    name = here[0] if device == "auto" else device
    if name not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"There is no device called {device!r}; choose auto, cpu, cuda or mps.")
    if name not in here:
        raise DeviceError(f"This machine has no {name} device that torch can use; choose {' or '.join(here)}.")
    half = name == "cpu" and not fast_bf16(name) and has_half()
    if precision == "auto":
        eight = name == "cpu" and (compiles("int8") or has_int8())
        precision = "int8" if eight else "bf16" if half or fast_bf16(name) else "fp32"
    if precision not in PRECISIONS:
        raise DeviceError(f"There is no precision called {precision!r}; choose auto, {', '.join(PRECISIONS)}.")
    if precision in ("int8", "int4") and name != "cpu":
        raise DeviceError(f"{precision} is for the CPU; on {name} choose auto, fp32 or bf16.")
    taken = _next_best(precision)
    instead = f" (this torch has no {precision} here)" if taken != precision else ""
    if taken == "bf16" and half:
        instead += " as fp16 (this processor has no bf16)"
    if taken == "int4" and not quick_int4() and not compiles("int4"):
        instead += " (int8 takes more memory and is quicker here)"
    return Placement(torch.device(name), _activations(taken, name), taken, f"{_describe(name)}, {taken}{instead}")


def _activations(precision: Precision, name: str) -> torch.dtype:
    """fp32 around rounded weights where the processor would have to emulate bf16: that is quicker there, and exact."""
    rounded = precision in ("int8", "int4") or (precision == "bf16" and name == "cpu" and has_half())
    return torch.float32 if rounded and not fast_bf16(name) else PRECISIONS[precision]


def _next_best(precision: Precision) -> Precision:
    """`precision`, or the next one whose operators this torch has on this processor."""
    if precision == "int4" and not (compiles("int4") or has_int4()):
        precision = "int8"
    return "bf16" if precision == "int8" and not (compiles("int8") or has_int8()) else precision


def fast_bf16(name: str) -> bool:
    """Whether `name` multiplies bf16 natively; where it is emulated, fp32 is faster."""
    if name == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "mps":
        return False  # exact and quick enough in fp32 for small models; older macOS lacks bf16 altogether
    return has_bf16()


def _describe(name: str) -> str:
    if name == "cuda":
        return f"GPU {torch.cuda.get_device_name()}"
    if name == "mps":
        return "Apple GPU"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"
