"""What `homespun train KIND …` does and says: the wish from the options, preview, start, following, result."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from assistant.errors import LearningError, UsageError
from assistant.learning.corrections import Corrections
from assistant.learning.feedback import Feedback
from assistant.learning.looking import Preview, previews
from assistant.learning.naming import free_name
from assistant.learning.progress import Progress
from assistant.learning.retraining import completed
from assistant.learning.runs import Run, Runs
from assistant.learning.wording import cost_line, counts_line, number, outcome
from assistant.models.shelf import Shelf
from assistant.paths import find_paths
from assistant.text import printable
from assistant.verdicts.settings import SpamSettings
from training.errors import TrainingError
from training.recipe_wish import Wish, fields_of, read_field, save_wish

LOOK_SECONDS = 1.0


def things(obj: dict[str, Any]) -> tuple[Shelf, Runs]:
    """The models and the runs of the data folder that the command line names."""
    paths = find_paths(obj["data_dir"])
    return Shelf(paths), Runs(paths)


def start(obj: dict[str, Any], kind: str, given: dict[str, Any]) -> None:
    """Preview, ask, start and follow.

    Raises:
        UsageError, LearningError: in one sentence.
    """
    preview, yes, detach = (given.pop(name) for name in ("preview", "yes", "detach"))
    shelf, runs = things(obj)
    draft = runs.draft()
    try:
        wish = wish_of(kind, given, shelf, runs, draft)
        save_wish(wish, draft / "wish.json")
        if preview or not yes:
            found = asyncio.run(_previewed(draft))
            for line in preview_lines(found, rows=preview):
                click.echo(line)
            if found.failed:
                raise LearningError(found.failed)
            if preview:
                return
            if not sys.stdin.isatty():
                raise click.UsageError("Give --yes to start without a terminal.")
            if not click.confirm(f"Start {wish.name}?"):
                return
        run = runs.start(wish, draft)
    except TrainingError as error:
        raise UsageError(str(error)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    click.echo(f"{run.key} has begun.")
    if not detach:
        follow(runs, run)


def wish_of(kind: str, given: dict[str, Any], shelf: Shelf, runs: Runs, draft: Path) -> Wish:
    """The wish that the options make.

    Raises:
        TrainingError: an option that cannot be.
        LearningError: there is no feedback, or no correction, to learn from.
    """
    values: dict[str, Any] = {}
    for field in fields_of(kind):  # type: ignore[arg-type]
        value = given.get(field.name)
        if value is None:
            continue
        values[field.name] = read_field(field.name, value) if isinstance(value, str) else value
    values["files"] = tuple(os.path.abspath(os.path.expanduser(name)) for name in given.get("files", ()))
    if kind in ("feedback", "spam"):
        from assistant.storage.store import Store

        store = Store(shelf.paths.database)
        source = Feedback(store) if kind == "feedback" else Corrections(store)
        values["files"] = (str(source.write(draft / f"{kind}.jsonl", set())),)
        store.close()
    if kind not in ("scratch", "spam"):
        info = shelf.find(values["base"]) if values.get("base") else shelf.default()[0]
        values["base"] = info.key if info.bundled else str(info.path)
    names = {info.path.name for info in shelf.models()} | {run.wish.name for run in runs.all()}
    values["name"] = values.get("name") or free_name(kind, names)
    wish = Wish(kind=kind, **values)  # type: ignore[arg-type]
    return completed(wish, SpamSettings(shelf.paths)) if kind == "spam" else wish


async def _previewed(draft: Path) -> Preview:
    found = Preview()
    async with aclosing(previews(draft)) as told:
        async for now in told:
            found = now
    return found


def preview_lines(found: Preview, *, rows: bool) -> Iterator[str]:
    """The counts, notes and costs; with `rows` every example, what is learned of it between « and »."""
    for row in found.rows if rows else ():
        words = ""
        for text, learned in row.parts:
            opened = words.count("«") > words.count("»")
            words += ("»" if opened and not learned else "«" if learned and not opened else "") + text
        words += "»" if words.count("«") > words.count("»") else ""
        yield f"{row.place}: " + (f"LEFT OUT ({row.problem}) " if row.problem else "") + words.replace("\n", " ⏎ ")
    if found.summary:
        yield counts_line(found)
        yield from found.summary.get("notes", ())
        yield from found.summary.get("warnings", ())
    if found.estimate:
        yield cost_line(found)
        yield from found.estimate.get("warnings", ())


def follow(runs: Runs, run: Run) -> None:
    """Say how far it is until it ends. Ctrl-C leaves it running.

    Raises:
        LearningError: it failed.
    """
    progress, said = Progress(run.folder, run.stages), ""
    try:
        while True:
            now = runs.find(run.key)
            if now is None:
                return
            progress.look()
            line = progress.line() if now.state == "training" else now.text
            line = f"{now.state}: {line}" if line else now.state
            if line != said:
                tail = " " * max(len(said) - len(line), 0)
                click.echo(f"\r{line}{tail}" if sys.stdout.isatty() else line, nl=not sys.stdout.isatty())
                said = line
            if not now.busy:
                break
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        click.echo(f"\n{run.wish.name} goes on. To follow it again: homespun train watch {run.key}")
        return
    click.echo("", nl=sys.stdout.isatty())  # behind the line that was written over
    if now.state == "failed":
        raise LearningError(now.text)
    if now.state == "done":
        for line in result_lines(now, replies=False):
            click.echo(line)
        use = "judge mail by it" if now.wish.kind == "spam" else "chat with it"
        click.echo(f"To {use} from now on: homespun train adopt {now.key}")


def run_line(run: Run) -> str:
    said = run.state
    if run.state == "training":
        progress = Progress(run.folder, run.stages)
        progress.look()
        said = f"training: {progress.line()}"
    elif run.state == "done":
        said = f"done: {outcome(run)}"
    elif run.text:
        said += f": {run.text}"
    return f"{run.key:32s} {said}"


def result_lines(run: Run, *, replies: bool = True) -> Iterator[str]:
    """Numbers before and after, warnings, and the replies of both models.

    Raises:
        LearningError: the run is not done.
    """
    if run.state != "done":
        raise LearningError(f"{run.wish.name} is not done: {run.state}.")
    for name, old, new, unit in run.result.get("rows", []):
        yield f"{printable(name)}: {number(old, unit)} before, {number(new, unit)} now"
    yield from (printable(str(sentence)) for sentence in run.result.get("warnings", []))
    for row in run.result.get("replies", []) if replies else ():
        yield f"\n> {printable(str(row['prompt']))}"
        yield f"old: {printable(str(row['before']))}"
        yield f"new: {printable(str(row['after']))}"
