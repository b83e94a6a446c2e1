"""Runs: the folders of fine-tuning runs, what each is doing, and the processes that do them.

Each run is a child in a process group of its own, which goes on when the app is closed; whoever opens the app again
finds it by its folder. What a child writes is followed by `progress.py`; what it does is `training/tuning/`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.errors import LearningError
from assistant.paths import Paths
from assistant.text import printable

if TYPE_CHECKING:  # what a run is asked to do is read when there is one
    from training.recipe_wish import Wish

DRAFT = ".draft"
# What a child says it is doing while it lives; anything else in state.json is how it ended.
BUSY = ("starting", "waiting", "preparing", "measuring before", "training", "keeping", "measuring after")
STARTING = 20.0  # seconds that a child may take until it says something


@dataclass(frozen=True)
class Run:
    """A run as it stands now."""

    folder: Path
    wish: Wish
    state: str  # one of BUSY, or paused, failed, done, cut off
    text: str = ""  # a sentence about it
    pid: int | None = None
    result: dict[str, Any] = field(default_factory=dict)  # result.json, once it is done

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def busy(self) -> bool:
        return self.state in BUSY

    @property
    def can_resume(self) -> bool:
        return self.state in ("paused", "failed", "cut off")

    @property
    def stages(self) -> tuple[str, ...]:
        both = self.wish.kind == "scratch" and self.wish.chats
        return ("pretrain", "sft") if both else (self.wish.stage,)


class Runs:
    """All runs below `paths`."""

    def __init__(self, paths: Paths, command: list[str] | None = None) -> None:
        self.folder = paths.runs
        self._paths = paths
        self._command = command or [
            sys.executable,
            "-P",
            "-m",
            "training",
            "teach",
        ]  # -P: no folder `training` from here
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    # Looking

    def keys(self) -> set[str]:
        """The names of the runs' folders, read or not."""
        try:
            return {name for name in os.listdir(self.folder) if not name.startswith(".")}
        except OSError:
            return set()

    def all(self) -> list[Run]:
        """Every run, the newest first."""
        if not self.folder.is_dir():
            return []
        names = sorted((p.name for p in self.folder.iterdir() if not p.name.startswith(".")), reverse=True)
        return [run for name in names if (run := self.find(name)) is not None]

    def find(self, key: str) -> Run | None:
        """The run called `key`; None where there is none, or none that can be read."""
        from training.errors import TrainingError
        from training.recipe_wish import load_wish

        folder = self.folder / key
        try:
            wish = load_wish(folder / "wish.json")
        except TrainingError:
            return None
        told = _read(folder / "state.json")
        pid = told.get("pid") if isinstance(told.get("pid"), int) else None
        state, text = str(told.get("state") or "starting"), printable(str(told.get("text") or ""))
        if state in BUSY and not self._lives(folder, pid):
            state, text = "cut off", "it was cut off, and goes on where it was"
        return Run(folder, wish, state, text, pid, _read(folder / "result.json"))

    def named(self, name: str) -> Run:
        """The run called `name`, or the newest one that makes a model of this name; "" is the newest of all.

        Raises:
            LearningError: there is none.
        """
        found = [run for run in self.all() if name in ("", run.key, run.wish.name)]
        if not found:
            known = ", ".join(run.key for run in self.all()[:8]) or "none"
            raise LearningError(f"There is no run called {printable(name)!r}. There are: {known}.")
        return found[0]

    def _lives(self, folder: Path, pid: int | None) -> bool:
        """Whether the child of the run in `folder` is there: its number is alive, and the run is locked."""
        child = self._children.get(folder.name)
        if child is not None:
            return child.poll() is None
        if pid is None:  # it has said nothing yet
            with suppress(OSError):
                return time.time() - (folder / "wish.json").stat().st_mtime < STARTING
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return False  # a process of somebody else has got the number
        return _locked(folder)

    # Doing

    def draft(self) -> Path:
        """An empty folder to prepare a run in.

        Raises:
            LearningError: it cannot be made.
        """
        folder = self.folder / f"{DRAFT}-{os.getpid()}"
        try:
            self._paths.make()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise LearningError(f"The folder {self.folder} cannot be written: {error.strerror}.") from error
        return folder

    def start(self, wish: Wish, draft: Path | None = None) -> Run:
        """Begin `wish` as a run of its own; it waits while another trains. `draft` is where its typed data lies.

        Raises:
            LearningError: no name or data, a folder that cannot be written, or a process that cannot be started.
        """
        from training.recipe_wish import Wish, save_wish

        if not wish.name:
            raise LearningError("Give the new model a name.")
        if not wish.files:
            raise LearningError("Say which data it is to learn from.")
        folder, count = self.folder / f"{datetime.now():%Y%m%d-%H%M%S}-{wish.name}", 1
        key = folder.name
        while folder.exists():
            count += 1
            folder = self.folder / f"{key}-{count}"
        try:
            self._paths.make()
            folder.mkdir(mode=0o700, parents=True)
            files = []
            for name in wish.files:
                path = Path(os.path.expanduser(name)).absolute()
                if draft is not None and path.is_relative_to(draft):
                    shutil.copy(path, folder / path.name)
                    path = folder / path.name
                files.append(str(path))
            save_wish(Wish(**{**vars(wish), "files": tuple(files)}), folder / "wish.json")
        except OSError as error:
            raise LearningError(f"The run cannot be written to {self.folder}: {error.strerror}.") from error
        return self._begin(folder)

    def resume(self, run: Run) -> Run:
        """Go on from the last checkpoint.

        Raises:
            LearningError: it is under way, or done.
        """
        now = self.find(run.key)
        if now is None or now.busy:
            raise LearningError(f"{run.wish.name} is under way already.")
        if not now.can_resume:
            raise LearningError(f"{run.wish.name} is done.")
        (run.folder / "state.json").unlink(missing_ok=True)
        os.utime(run.folder / "wish.json")
        return self._begin(run.folder)

    def _begin(self, folder: Path) -> Run:
        try:
            with (folder / "log.txt").open("ab") as log:
                child = subprocess.Popen(
                    [*self._command, "run", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # it goes on when the app is closed, and Ctrl-C is not for it
                    env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONUNBUFFERED": "1"},  # waiting must not burn
                )
        except OSError as error:
            raise LearningError(f"The training process could not be started: {error.strerror}.") from error
        self._children[folder.name] = child
        run = self.find(folder.name)
        assert run is not None
        return run

    def pause(self, run: Run) -> None:
        """Have it save a checkpoint and end; it can go on later."""
        self._signal(run, signal.SIGTERM)

    def keep(self, run: Run) -> Run:
        """Have it stop training and make a model of what it has learned so far.

        Raises:
            LearningError: it has not begun to train, or is done.
        """
        now = self.find(run.key)
        trained = any((run.folder / stage / "checkpoint.pt").exists() for stage in run.stages)
        if now is None or now.state == "done" or not trained:
            raise LearningError(f"{run.wish.name} has nothing to keep: it is done, or has not begun to train.")
        (run.folder / "keep").touch()
        if now.busy:
            self._signal(now, signal.SIGTERM)
            return now
        return self.resume(now)

    def cancel(self, run: Run) -> None:
        """End it and delete its folder: what it has learned is gone. Models that were adopted stay."""
        now = self.find(run.key)
        if now is not None and now.busy:
            self._signal(now, signal.SIGKILL)
            for _ in range(100):
                if not self._lives(run.folder, now.pid):
                    break
                time.sleep(0.02)
        gone = run.folder.with_name(f".gone-{run.folder.name}")
        try:
            run.folder.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise LearningError(f"{run.key} cannot be deleted: {error.strerror}.") from error

    def _signal(self, run: Run, what: signal.Signals) -> None:
        child = self._children.get(run.key)
        pid = child.pid if child is not None and child.poll() is None else run.pid
        if pid is not None and run.busy:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, what)


def _locked(folder: Path) -> bool:
    """Whether a process holds the run: process numbers are used again, locks are not."""
    from filelock import FileLock, Timeout  # not needed to chat

    if not (folder / "lock").exists():
        return False
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
