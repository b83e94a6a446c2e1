"""`python -m training spam`: the files, the scorer that ships, learning from corrections, and the table."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from engine.errors import EngineError
from training.errors import TrainingError

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


class Group(click.Group):
    """Says what is wrong in one sentence, with exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TrainingError, EngineError, OSError) as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(2)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def spam() -> None:
    """Make the spam scorer, measure it, and let it learn from corrections."""


@spam.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def prepare(arguments: tuple[str, ...]) -> None:
    """Write the training files."""
    from training.spam.prepare import main

    main(list(arguments), prog_name="python -m training spam prepare")


@spam.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def table(arguments: tuple[str, ...]) -> None:
    """Measure scorers on the splits of the corpora."""
    from training.spam.table import main

    main(list(arguments), prog_name="python -m training spam table")


@spam.command()
@click.option("--data", type=FOLDER, required=True, help="What `prepare` wrote.")
@click.option("--out", type=FOLDER, required=True, help="Where the scorer goes.")
@click.option("--work", type=FOLDER, help="Where its networks are trained and kept [default: nowhere].")
@click.option("--figures", type=FILE, help="JSON for its card: `tables` (from `table --out`) and `notes`.")
def stack(data: Path, out: Path, work: Path | None, figures: Path | None) -> None:
    """Train network and hashed scorer, and put them together: the scorer that ships."""
    from training.spam.stacking import stack as make

    more = json.loads(figures.read_text(encoding="utf-8")) if figures else {}
    folders = (work / "network", work / "stranger") if work else (None, None)
    click.echo(json.dumps(asdict(make(data, out, more, *folders)), indent=1))


@spam.command()
@click.option("--scorer", type=FOLDER, required=True, help="What `stack` wrote.")
@click.option("--figures", type=FILE, required=True, help="JSON: `tables` (from `table --out`) and `notes`.")
def card(scorer: Path, figures: Path) -> None:
    """Write measured figures into a scorer's card."""
    from training.spam.stacking import rewrite_card

    rewrite_card(scorer, json.loads(figures.read_text(encoding="utf-8")))


@spam.command()
@click.option("--data", type=FOLDER, required=True, help="What `prepare` wrote and the scorer was fitted on.")
@click.option("--scorer", type=FOLDER, required=True, help="What `stack` wrote.")
@click.option("--mails", default=1000, show_default=True, help="Played back, and as many others compared on.")
def memory(data: Path, scorer: Path, mails: int) -> None:
    """Give a scorer a memory of old mail, in figures, for retraining it where no old mail is."""
    from training.spam.remembering import remember

    click.echo(json.dumps(remember(data, scorer, mails), indent=1))


@spam.command()
@click.option("--corrections", type=FILE, required=True, help="JSON lines with mail (or text) and label.")
@click.option("--scorer", type=FOLDER, help="The scorer to start from [default: the one that ships].")
@click.option(
    "--data", type=FOLDER, help="Old mail, from `prepare`, played back and compared on [default: what it remembers]."
)
@click.option("--out", type=FOLDER, required=True, help="Where the new scorer goes.")
@click.option("--always", is_flag=True, help="Write it although it is worse.")
def retrain(corrections: Path, scorer: Path | None, data: Path | None, out: Path, always: bool) -> None:
    """Learn from corrections. The new scorer is written unless it is worse than the old one; then the status is 1."""
    from training.spam.retrain import retrain as learn

    found = learn(scorer, corrections, data, out, always=always)
    click.echo(json.dumps(asdict(found), indent=1))
    if not found.adopted:
        sys.exit(1)
