"""One process at a time in a run folder: the lock goes with the process, however it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from training.errors import TrainingError


@contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Hold the run folder `run`.

    Raises:
        TrainingError: another process has it; the sentence names that process.
    """
    lock, holder = FileLock(run / "lock", timeout=0), run / "pid"
    try:
        lock.acquire()
    except Timeout as error:
        pid = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
        raise TrainingError(
            f"The run folder {run} is in use by another process (pid {pid}). Wait for it or stop it, "
            "or choose another folder with --run."
        ) from error
    try:
        holder.write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
        holder.unlink(missing_ok=True)
    finally:
        lock.release()
