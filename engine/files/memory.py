"""Giving memory back to the system while a model is loaded: what one layer needed must not add to what the next needs.

Only glibc (Linux) is told anything; elsewhere this does nothing. The model that results is the same.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

# For mallopt: the size from which a block is mapped, and unmapped when it is freed, and how much free memory
# at the heap's end is kept.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LOADING, _RUNNING = 1 << 18, 32 << 20  # bytes; the second is where glibc's own adjustment of both ends


@contextmanager
def returned_at_once() -> Iterator[None]:
    """Inside, freed blocks of 256 KB and more go back to the system at once instead of being kept in the heap."""
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _LOADING)
    try:
        yield
    finally:
        # While running, mapping or trimming afresh for every layer would be slow: a page fault each 4 KB.
        libc.mallopt(_MMAP_THRESHOLD, _RUNNING)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _RUNNING)
        libc.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
    except OSError:
        return None
