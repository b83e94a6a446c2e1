"""Processes told apart by more than their number, which the system gives to another one once it is free.

Knows nothing of what a process does; `storage/messages.py` asks here whether the maker of a reply is still there.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path


def started(process: int) -> str | None:
    """When `process` began, in the system's own words, to be compared only; None where that cannot be found out."""
    if (fields := _stat(process)) is not None:
        return f"{_boot()}:{fields[19]}"  # field 22 of proc(5): clock ticks after the boot
    if Path("/proc/self/stat").exists():
        return None  # there is a /proc, and `process` is not in it
    try:
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(process)], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


@cache
def own_start() -> str | None:
    return started(os.getpid())


def alive(process: int | None, start: str | None = None) -> bool:
    """Whether `process` is there, is no zombie, and (where `start` is known) is the one that began then."""
    if process is None:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    fields = _stat(process)
    if fields is not None and fields[0] == "Z":
        return False
    now = started(process) if start is not None else None
    return start is None or now is None or now == start


def _stat(process: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: the name before it may hold blanks and brackets."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
