"""Retraining: the spam scorer learns from corrections, in a process of its own that goes on when the screen is closed.

Owns the process, what it says, and its result until somebody has adopted or discarded it. What is learned and how old
and new are compared is `training/spam/retrain.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import StorageError, UsageError
from assistant.verdicts.child import complaint_of, run_child
from assistant.verdicts.settings import SpamSettings

COMMAND = (sys.executable, "-P", "-m", "training", "spam", "retrain")
Corrections = Sequence[tuple[str, str]]  # (the normaliser's text, label)


class Retraining:
    """One at a time; `tell` hears a sentence when it has ended."""

    def __init__(self, settings: SpamSettings, tell: Callable[[str], None], command: Sequence[str] = COMMAND) -> None:
        self._settings, self._tell, self._command = settings, tell, list(command)
        self._task: asyncio.Task[None] | None = None
        self.line = ""  # what it is doing; "" when nothing goes on
        self.comparison = ""  # of what has been made and not been decided on yet
        self.failure = ""  # why the last one failed
        self.made: Path | None = None  # the new scorer's folder

    @property
    def old_mail(self) -> Path:
        """Where mail lies that is mixed in and compared on, as `python -m training spam prepare` writes it."""
        return self._settings.folder / "old-mail"

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, corrections: Corrections) -> None:
        """Begin.

        Raises:
            UsageError: there is nothing to learn from, or one is going on.
            StorageError: the corrections could not be written down.
        """
        if self.busy:
            raise UsageError("The scorer is being retrained already.")
        if not corrections:
            raise UsageError("There are no corrections to learn from yet. F2 says that a verdict was wrong.")
        out = self._settings.next_folder()
        rows = out.with_suffix(".jsonl")
        try:
            with os.fdopen(os.open(rows, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in corrections)
        except OSError as error:
            raise StorageError(f"{rows} cannot be written: {error.strerror}.") from error
        self.comparison = self.failure = ""
        self.made, self.line = None, "retraining: starting …"
        self._task = asyncio.get_running_loop().create_task(self._run(rows, out))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """End it, and its process."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def adopt(self) -> str:
        """Judge by what was made. Returns a sentence.

        Raises:
            UsageError: nothing was made.
            StorageError: it could not be written down.
        """
        if self.made is None:
            raise UsageError("There is no new scorer to adopt.")
        self._settings.adopt(self.made)
        name, self.made, self.comparison = self.made.name, None, ""
        return f"{name} judges from now on. F10 goes back to the scorer before."

    def discard(self) -> None:
        """Keep the old scorer; what was made is deleted."""
        made, self.made, self.comparison = self.made, None, ""
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)

    async def _run(self, rows: Path, out: Path) -> None:
        command = [*self._command, "--corrections", str(rows), "--out", str(out)]
        using = self._settings.in_use().folder
        command += ["--scorer", str(using)] if using else []
        command += ["--data", str(self.old_mail)] if self.old_mail.is_dir() else []
        try:
            status, said, complaint = await run_child(command, self._hear)
            self._end(status, said, complaint, out)
        except asyncio.CancelledError:
            shutil.rmtree(out, ignore_errors=True)
            raise
        except OSError as error:
            self._fail(f"Retraining could not be started: {error.strerror}.")
        finally:
            self.line = ""
            rows.unlink(missing_ok=True)

    def _hear(self, line: str) -> None:
        self.line = f"retraining: {line}"

    def _end(self, status: int, said: str, complaint: str, out: Path) -> None:
        comparison = compared(said)
        if out.is_dir() and status == 0:
            self.made, self.comparison = out, comparison
            self._tell("The retrained scorer is ready. F9 compares it with the old one.")
        elif status == 1 and comparison:  # it was worse, and has not been written
            self._fail(comparison)
        else:
            self._fail(complaint_of(complaint, f"Retraining ended unexpectedly (status {status})."))

    def _fail(self, sentence: str) -> None:
        self.failure = sentence
        self._tell(sentence)


def compared(said: str) -> str:
    """The comparison for people out of what the process printed: its sentence, or all of it where it is no JSON."""
    start = said.find("{")
    try:
        data: Any = json.loads(said[start:]) if start >= 0 else None
    except ValueError:
        data = None
    if isinstance(data, dict) and isinstance(data.get("sentence"), str):
        return str(data["sentence"]).removesuffix(" The new scorer is kept.")  # that is decided here
    return said
