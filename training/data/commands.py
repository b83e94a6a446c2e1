"""`python -m training data …`: what one does with data before there is a run. `homespun data` hands over to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from training.errors import TrainingError, missing_extra
from training.loop.lock import only_one
from training.manifest import load_manifest
from training.recipe import RecipeError, Source, load_recipe

HELP = {"help_option_names": ["-h", "--help"]}


@contextmanager
def sentences(folder: Path) -> Iterator[None]:
    """What is expected to go wrong becomes one sentence and exit status 2."""
    try:
        yield
    except TrainingError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if not (sentence := missing_extra(error)):
            raise
        click.echo(f"Error: {sentence}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or folder}: {error.strerror}.", err=True)
        sys.exit(2)


@click.group(context_settings=HELP)
def data() -> None:
    """Bring the texts here that a model is made from."""


@data.command(context_settings=HELP)
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--data", "folder", type=click.Path(path_type=Path), default="data", show_default=True, help="Where to.")
@click.option("--list", "only_list", is_flag=True, help="Say what there is, and fetch nothing.")
def fetch(manifest: Path, names: tuple[str, ...], folder: Path, only_list: bool) -> None:
    """Fetch the sources in MANIFEST, or those of them that are named.

    A download that was stopped goes on; what is there is checked and left alone.
    """
    with sentences(folder):
        sources = load_manifest(manifest)
        if unknown := sorted(set(names) - {source.name for source in sources}):
            raise RecipeError(f"{manifest} has no source {unknown[0]!r}; it has {', '.join(s.name for s in sources)}.")
        if only_list:
            for source in sources:
                click.echo(f"{source.name:24s} {source.licence:20s} {source.url or source.path}\n    {source.what}")
            return
        _fetch_all([source for source in sources if (source.name in names if names else source.url)], folder)


@data.command(context_settings=HELP)
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--data", "folder", type=click.Path(path_type=Path), default=".", help="Where the sources' paths start.")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder [default: runs/<recipe's name>].")
@click.option(
    "--set", "settings", multiple=True, metavar="TABLE.FIELD=VALUE",
    help="Set a field of the recipe, such as data.near_duplicates=0; may be given several times.",
)  # fmt: skip
@click.option("--tasks", default=8, show_default=True, help="Parts that the work is cut into.")
@click.option("--workers", default=0, help="Tasks at a time [default: one a core].")
def prepare(
    recipe_path: Path, folder: Path, run: Path | None, settings: tuple[str, ...], tasks: int, workers: int
) -> None:
    """Prepare RECIPE's texts with datatrove, whose tasks may as well run on many machines.

    The tokenizer stage goes on from there. How it is done with Slurm stands in training/data/bigdata.py.
    """
    with sentences(folder):
        recipe = load_recipe(recipe_path, settings)
        from training.data import bigdata
        from training.data.parallel import cores
        from training.data.report import write_report

        run = run or Path("runs") / recipe_path.stem
        run.mkdir(parents=True, exist_ok=True)
        with only_one(run):
            bigdata.run_here(recipe.data, folder, run, tasks, workers or cores())
        click.echo(f"The report is {write_report(recipe, run)}.")


def _fetch_all(wanted: list[Source], folder: Path) -> None:
    from training.data.fetch import fetch as fetch_one

    for source in wanted:
        done = fetch_one(source, folder)
        state = "fetched" if done.new else "is there"
        check = "checksum right" if done.checked else f'no checksum to compare; sha256 = "{done.sha256}"'
        click.echo(f"{source.name}: {done.path} {state} ({source.licence}), {check}")
