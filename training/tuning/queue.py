"""Taking turns: several runs were started, one trains at a time, the oldest first. And what a run says about itself.

A run that waits is a process that looks every second whether it is its turn; there is no daemon. Owns `state.json`.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from training.errors import TrainingError

LOOK_SECONDS = 1.0


def write_state(run: Path, state: str, **more: Any) -> None:
    """Say in `run/state.json`, whole or not at all, what the run is doing: one of the names in `runs.py` of the app."""
    data = {"state": state, "pid": os.getpid(), "time": round(time.time(), 1), **more}
    text, path, temporary = json.dumps(data, ensure_ascii=False) + "\n", run / "state.json", run / "state.tmp"
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno != errno.ENOSPC or not path.exists():
            raise
        with path.open("r+", encoding="utf-8") as file:  # a full disk still has the block that the old state lies in
            file.write(text)
            file.truncate()


def read_state(run: Path) -> dict[str, Any]:
    """What is in `run/state.json`; nothing where there is none or it is damaged."""
    try:
        data = json.loads((run / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


@contextmanager
def turn(run: Path, stopped: Callable[[], bool]) -> Iterator[bool]:
    """Wait for the turn of `run` among its neighbours; yields False when it was `stopped` before.

    Raises:
        TrainingError: the folder of runs cannot be written.
    """
    lock = FileLock(run.parent / ".turn", timeout=0)
    said = False
    while not stopped():
        if not _older_waits(run):
            try:
                lock.acquire()
                break
            except Timeout:
                pass
            except OSError as error:
                raise TrainingError(f"The folder {run.parent} cannot be written: {error.strerror}.") from error
        if not said:
            write_state(run, "waiting")
            said = True
        time.sleep(LOOK_SECONDS)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _older_waits(run: Path) -> bool:
    """Whether a run that was asked for earlier is waiting too. Names of runs begin with their time."""
    return any(
        other.name < run.name and (state := read_state(other)).get("state") == "waiting" and alive(state.get("pid"))
        for other in run.parent.iterdir()
        if other.is_dir()
    )


def alive(process: Any) -> bool:
    if not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
