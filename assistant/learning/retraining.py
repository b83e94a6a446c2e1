"""Retraining: the run of the training menu in which the spam scorer learns from corrections, as the spam check sees it.

Owns what is decided about its scorer: adopted into `scorers/`, or discarded. The process is `runs.py`, what it does
`training/tuning/corrections.py`; so it goes on when the app is closed, and is there when it is opened again.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from assistant.errors import LearningError, StorageError, UsageError
from assistant.learning.corrections import Corrections
from assistant.learning.naming import free_name
from assistant.learning.runs import Run, Runs
from assistant.learning.wording import result_sentence
from assistant.verdicts.settings import SpamSettings
from training.recipe_wish import Wish

ADOPTED = "adopted"  # in the run's folder: the name of the scorer that was made of it


class Retraining:
    """The newest run about spam that nobody has decided on yet, if there is one."""

    def __init__(self, settings: SpamSettings, runs: Runs) -> None:
        self._settings, self._runs = settings, runs

    @property
    def run(self) -> Run | None:
        ours = (run for run in self._runs.all() if run.wish.kind == "spam")
        return next((run for run in ours if not (run.folder / ADOPTED).exists()), None)

    def start(self, corrections: Corrections) -> None:
        """Begin with all of `corrections`.

        Raises:
            UsageError: one is going on, or not decided on.
            LearningError: there is nothing to learn from, or the run cannot be begun.
        """
        old = self.run
        if old is not None and old.state not in ("failed", "cut off"):
            raise UsageError("The scorer is being retrained already.")
        draft = self._runs.draft()
        try:
            path = corrections.write(draft / "corrections.jsonl")
            name = free_name("spam", {run.wish.name for run in self._runs.all()})
            self._runs.start(completed(Wish("spam", (str(path),), name), self._settings), draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if old is not None:
            self._runs.cancel(old)

    def adopt(self, run: Run) -> str:
        """Judge by what `run` has made. Returns a sentence.

        Raises:
            LearningError: it has made nothing.
            StorageError: it could not be written down.
        """
        made = Path(str(run.result.get("model") or ""))
        if run.state != "done" or not made.is_dir():
            raise LearningError(f"{run.wish.name} has not made a scorer.")
        folder = self._settings.next_folder()
        try:
            shutil.copytree(made, folder)
            (run.folder / ADOPTED).write_text(folder.name, encoding="utf-8")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise StorageError(f"{folder} cannot be written: {error.strerror or error}.") from error
        self._settings.adopt(folder)
        return f"{folder.name} judges from now on; the spam check can go back to the scorer before."

    def adopted(self, run: Run) -> bool:
        """Whether what `run` has made is among the scorers that one can roll back through."""
        try:
            return (run.folder / ADOPTED).read_text(encoding="utf-8") in self._settings.adopted()
        except OSError:
            return False

    def end(self, run: Run) -> None:
        """Stop `run`, or discard what it has made.

        Raises:
            LearningError: its folder cannot be deleted.
        """
        self._runs.cancel(run)

    def forget(self, text: str) -> None:
        """Take a mail's text out of what past runs have learned from, off the disk.

        Raises:
            LearningError: a file cannot be written.
        """
        for run in self._runs.all():
            if run.wish.kind == "spam":
                for path in run.folder.glob("*.jsonl"):  # and no file of the person's own
                    _without(path, text)

    def line(self) -> str:
        """What it is doing, for a status line; "" when nothing goes on."""
        run = self.run
        return f"retraining: {run.text or run.state} …" if run is not None and run.busy else ""

    def comparison(self, run: Run) -> str:
        """Old and new scorer in a sentence."""
        return result_sentence(run)


def _without(path: Path, text: str) -> None:
    """Overwrite the lines of `text` in a file of corrections, where it is one."""
    try:
        with path.open("r+b") as file:
            lines = file.read().split(b"\n")
            kept = [line for line in lines if not line.strip() or json.loads(line).get("text") != text]
            if len(kept) == len(lines):
                return
            for content in (b"\0" * sum(len(line) + 1 for line in lines), b"\n".join(kept)):
                file.seek(0)
                file.write(content)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
    except (FileNotFoundError, ValueError, AttributeError):
        return
    except OSError as error:
        raise LearningError(f"{path} still holds the mail: {error.strerror or error}.") from error


def completed(wish: Wish, settings: SpamSettings) -> Wish:
    """`wish` with what it left open: the scorer in use, and the old mail that lies in the data folder."""
    using, old_mail = settings.in_use().folder, settings.folder / "old-mail"
    scorer = wish.scorer or (str(using) if using else "")
    mixed_in = wish.old_mail or (str(old_mail) if old_mail.is_dir() else "")
    return replace(wish, scorer=scorer, old_mail=mixed_in)
