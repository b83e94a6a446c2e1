"""`python -m training teach …`: the child processes of the app's training menu. Each is for programs, not for people.

`run` does a run from its wish to its model; `preview` says what it will see and cost; `compare` asks two models.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from engine.errors import EngineError
from training.errors import TrainingError, missing_extra

HELP = {"help_option_names": ["-h", "--help"]}
NICENESS = 10  # so that a chat beside a run stays quick
FOLDER = click.Path(path_type=Path)


@click.group(context_settings=HELP)
def teach() -> None:
    """Fine-tuning for the app's menu; people use `homespun train`."""


@contextmanager
def _sentences(run: Path | None = None) -> Iterator[None]:
    """Expected errors as one sentence and status 2; a run's are written into its state as well."""
    try:
        yield
        return
    except (TrainingError, EngineError) as error:
        sentence = str(error)
    except ModuleNotFoundError as error:
        if not (known := missing_extra(error)):
            raise
        sentence = known
    except MemoryError:
        sentence = "There is not enough memory for this. Take a smaller base model, Batch or Context."
    except OSError as error:
        full = error.errno == 28
        sentence = f"{error.filename or 'The run folder'}: {error.strerror}." + (
            " Make room and go on." if full else ""
        )
    if run is not None:
        from contextlib import suppress

        from training.tuning.queue import write_state

        with suppress(OSError):
            write_state(run, "failed", text=sentence)
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(2)


@teach.command(context_settings=HELP)
@click.argument("folder", type=FOLDER)
def run(folder: Path) -> None:
    """Do the run in FOLDER, from where it is: its wish.json says what."""
    if not (folder / "wish.json").is_file():
        with _sentences():
            raise TrainingError(f"{folder} is no run: it has no wish.json.")
    from training.loop.lock import only_one

    with _sentences():
        with only_one(folder), _sentences(folder):
            from training.tuning.run import Tuning  # torch: late

            if hasattr(os, "nice"):
                os.nice(NICENESS)
            state = Tuning(folder).go()
        click.echo(f"{folder.name}: {state}")
    sys.exit(0 if state == "done" else 3)


@teach.command(context_settings=HELP)
@click.argument("folder", type=FOLDER)
@click.option("--estimate/--no-estimate", default=True, help="Do a few real steps.")
def preview(folder: Path, estimate: bool) -> None:
    """Print what the wish in FOLDER would learn from, as JSON lines."""
    from training.tuning import preview as showing

    with _sentences():
        try:
            showing.preview(folder, with_estimate=estimate)
        except (TrainingError, EngineError) as error:
            showing.fail(error)


@teach.command(context_settings=HELP)
@click.argument("models", nargs=2, type=FOLDER)
def compare(models: tuple[Path, Path]) -> None:
    """Answer each line of standard input with both MODELS; prints a JSON list of their two replies a line."""
    import json

    with _sentences():
        from training.tuning.measure import Asked

        asked = [Asked(path) for path in models]
        click.echo(json.dumps({"ready": True}))
        for number, line in enumerate(sys.stdin, 1):
            prompt = str(json.loads(line))
            replies = [a.replies([(prompt,)], greedy=False, seed=number)[0].text for a in asked]
            click.echo(json.dumps(replies, ensure_ascii=False))
