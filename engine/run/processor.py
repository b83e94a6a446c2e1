"""What this CPU and this torch have for numbers of few bits: asked once, and said in words the layers understand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch


def quick_int4() -> bool:
    """Whether int4 is quicker than int8 here: torch's int4 kernel is made for AVX-512, and slower without it."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def int8_engine() -> str:
    """The kernels that this torch has for int8 on this CPU: FBGEMM on x86, QNNPACK on Arm; "" for none."""
    there = torch.backends.quantized.supported_engines
    return next((name for name in ("fbgemm", "qnnpack") if name in there), "")


@contextmanager
def packing_for(name: str) -> Iterator[None]:
    """Pack weights for the kernels called `name`."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def has_bf16() -> bool:
    """Whether this CPU multiplies bf16 by itself; where it is emulated, fp32 is faster."""
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and (native or has_amx())


def has_amx() -> bool:
    """Whether this CPU multiplies tiles of bf16."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def has_vnni() -> bool:
    """Whether 8-bit products are summed in 32 bits; without it two of them may overflow 16."""
    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


class _WithoutOnednn:
    """Has torch multiply by itself. For one row of bf16 it reads weights as quickly as memory gives them; but it asks
    oneDNN first, which takes up to twice as long. The switch is the whole process's: the last thread out puts it back,
    and another that multiplies meanwhile is slower, no more."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch._C._get_mkldnn_enabled()
                torch._C._set_mkldnn_enabled(False)
            self._inside += 1

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch._C._set_mkldnn_enabled(self._before)


without_onednn = _WithoutOnednn()


def works(attempt: Callable[[], object]) -> bool:
    """Whether an operator is there and takes what it is given; older torches and other CPUs lack some."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some say once that they will go one day
            attempt()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True
