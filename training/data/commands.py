"""`python -m training data …`: what one does with data before there is a run. `homespun data` hands over to it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from training.manifest import load_manifest
from training.recipe import RecipeError

HELP = {"help_option_names": ["-h", "--help"]}


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
    try:
        sources = load_manifest(manifest)
        if unknown := sorted(set(names) - {source.name for source in sources}):
            raise RecipeError(f"{manifest} has no source {unknown[0]!r}; it has {', '.join(s.name for s in sources)}.")
        wanted = [source for source in sources if (source.name in names if names else source.url)]
        if only_list:
            for source in sources:
                click.echo(f"{source.name:24s} {source.licence:20s} {source.url or source.path}\n    {source.what}")
            return
        _fetch_all(wanted, folder)
    except RecipeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or folder}: {error.strerror}.", err=True)
        sys.exit(2)


def _fetch_all(wanted: list, folder: Path) -> None:
    from training.data.fetch import fetch as fetch_one

    for source in wanted:
        done = fetch_one(source, folder)
        state = "fetched" if done.new else "is there"
        check = "checksum right" if done.checked else f'no checksum to compare; sha256 = "{done.sha256}"'
        click.echo(f"{source.name}: {done.path} {state} ({source.licence}), {check}")
