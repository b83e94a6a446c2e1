"""`homespun library …`: the click commands. Imports next to nothing until one is run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.models.commands import HELP

if TYPE_CHECKING:
    from assistant.storage.libraries import Libraries


@click.group(context_settings=HELP, invoke_without_command=True)
@click.pass_context
def library(ctx: click.Context) -> None:
    """Documents to answer from: make libraries of folders and files. Without a command it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


def _store(obj: dict[str, Any]) -> Libraries:
    from assistant.paths import find_paths
    from assistant.storage.libraries import Libraries

    paths = find_paths(obj["data_dir"])
    paths.make()
    return Libraries(paths.database)


@library.command("list", context_settings=HELP)
@click.pass_obj
def list_(obj: dict[str, Any]) -> None:
    """List the libraries."""
    found = _store(obj).libraries()
    for one in found:
        problems = f", {one.problems:,} that cannot be used" if one.problems else ""
        click.echo(f"{one.name}  {one.documents:,} documents, {one.passages:,} passages{problems}")
        for source in one.sources:
            click.echo(f"    {source}")
    if not found:
        click.echo("There are no libraries. Make one: homespun library add FOLDER", err=True)


@library.command(context_settings=HELP)
@click.argument("places", nargs=-1, required=True, metavar="FOLDER…")
@click.option("--name", help="Which library; a new name makes a new one [default: the folder's name].")
@click.pass_obj
def add(obj: dict[str, Any], places: tuple[str, ...], name: str | None) -> None:
    """Read the documents in FOLDER, or the file FOLDER: text, Markdown, HTML, PDF and Word (.docx).

    They stay where they are; what is read of them is kept beside the chats. In a chat: /library NAME
    """
    from assistant.library.adding import add as adding
    from assistant.library.adding import new_name

    store = _store(obj)
    name = name or new_name(Path(places[0]), {one.name for one in store.libraries()})
    for place in places:
        adding(store, name, place)
    _read(store, name)


@library.command(context_settings=HELP)
@click.argument("name")
@click.pass_obj
def read(obj: dict[str, Any], name: str) -> None:
    """Read what is new or changed in the library NAME. A chat that uses it does so by itself."""
    store = _store(obj)
    _known(store, name)
    _read(store, name)


@library.command(context_settings=HELP)
@click.argument("name")
@click.argument("words", nargs=-1, required=True)
@click.option("--count", default=3, show_default=True, help="How many passages.")
@click.pass_obj
def find(obj: dict[str, Any], name: str, words: tuple[str, ...], count: int) -> None:
    """Show the passages of the library NAME that fit WORDS best: those a chat would be given."""
    from assistant.library.grounding import label
    from assistant.text import printable

    store = _store(obj)
    _known(store, name)
    found = store.find(name, " ".join(words), count)
    for one in found:
        click.echo(f"── {printable(label(one))}\n{printable(one.text)}\n")
    if not found:
        click.echo("Nothing found.", err=True)
        sys.exit(1)


@library.command(context_settings=HELP)
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(obj: dict[str, Any], name: str, yes: bool) -> None:
    """Remove the library NAME for good: what was read is overwritten on disk. The documents themselves stay."""
    store = _store(obj)
    _known(store, name)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"Remove the library {name}? Give --yes to answer without a terminal.")
        if not click.confirm(f"Remove the library {name}, and what replies were given of it?"):
            click.echo("Nothing was removed.")
            return
    store.remove_library(name)
    click.echo(f"{name} is removed; its documents are where they were.")


def _known(store: Libraries, name: str) -> None:
    from assistant.errors import LibraryError

    names = [one.name for one in store.libraries()]
    if name not in names:
        there = f" There are: {', '.join(names)}." if names else ""
        raise LibraryError(f"There is no library {name}.{there}")


def _read(store: Libraries, name: str) -> None:
    """Have it read by a child process, and say what could not be."""
    import asyncio

    from assistant.library.refreshing import Refresher
    from assistant.text import printable

    said = asyncio.run(_refreshed(Refresher(store.path), name))
    for document in store.documents(name):
        if document.problem:
            click.echo(f"{printable(document.path)}: {printable(document.problem)}", err=True)
    click.echo(said or f"{name}: nothing has changed.")


async def _refreshed(refresher: Any, name: str) -> str:
    return str(await refresher.start(name))
