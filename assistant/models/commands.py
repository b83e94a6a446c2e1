"""`homespun models …`: the click commands. Imports next to nothing until one is run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from assistant.models.shelf import Shelf

HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=HELP, invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List, add and remove models. Without a command it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


def _shelf(obj: dict[str, Any]) -> Shelf:
    from assistant.models.shelf import Shelf
    from assistant.paths import find_paths

    return Shelf(find_paths(obj["data_dir"]))


@models.command("list", context_settings=HELP)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_(obj: dict[str, Any], as_json: bool = False) -> None:
    """List the models on this machine."""
    from assistant.models import describing
    from assistant.models.events import size_text

    shelf = _shelf(obj)
    found = [(info, shelf.is_default(info)) for info in shelf.models()]
    if as_json:
        _print_json([describing.as_json(info, default=default) for info, default in found])
    else:
        table = [("Name", "Parameters", "On disk", "Licence", "")]
        table += [describing.columns(info, default=default) for info, default in found]
        widths = [max(len(row[column]) for row in table) for column in range(4)]
        for row in table if found else ():
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True)).rstrip())
    for unfinished in shelf.unfinished():
        name = f" --name {unfinished.name}" if not unfinished.source.endswith(f"/{unfinished.name}") else ""
        click.echo(
            f"Unfinished: {unfinished.name}, {size_text(unfinished.have)} so far. To go on: homespun models add "
            f"{unfinished.source}{name}; to discard it: homespun models remove {unfinished.name}",
            err=True,
        )
    for name, why in shelf.faulty():
        click.echo(f"Cannot be read: {name}. {why}", err=True)
    if not found:
        click.echo("There are no models here. Try: homespun models add gpt2", err=True)
        sys.exit(2)


@models.command(context_settings=HELP)
@click.argument("source")
@click.option("--name", help="What to call it here.")
@click.option("--link", is_flag=True, help="Leave a model of this machine where it is, and point to it.")
@click.option("--anyway", is_flag=True, help="Even if it cannot fit into this machine's memory.")
@click.option("--default", "make_default", is_flag=True, help="Make it the default.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.pass_obj
def add(
    obj: dict[str, Any], source: str, name: str | None, link: bool, anyway: bool, make_default: bool, quiet: bool
) -> None:
    """Add the model SOURCE: a folder, a .gguf file, or one from the Hugging Face Hub.

    \b
    homespun models add ~/models/my-model                    a folder; hard links where possible
    homespun models add ~/Downloads/qwen3-0.6b-q8_0.gguf     a GGUF file, Ollama's blobs too
    homespun models add gpt2                                 or gpt2-medium, gpt2-large, gpt2-xl
    homespun models add Qwen/Qwen3-0.6B                      OWNER/NAME on the Hub, @REVISION if need be
    homespun models add Qwen/Qwen3-0.6B-GGUF:Q8_0            one GGUF file of a repository

    Only the last three use the network. HF_TOKEN and HF_ENDPOINT are honoured. A download that was cut goes on where
    it ended when the same command is given again.
    """
    from assistant.models.showing import show_adding

    shelf = _shelf(obj)
    info = show_adding(shelf, source, quiet=quiet, name=name, link=link, anyway=anyway)
    if make_default:
        shelf.set_default(info.key)
    if not quiet:
        from assistant.models.describing import summary

        click.echo(f"{info.key} is here: {summary(info)}.")
        if not make_default:
            click.echo(f"Open it with homespun --model {info.key}, or for good: homespun models default {info.key}")


@models.command(context_settings=HELP)
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def info(obj: dict[str, Any], name: str | None, as_json: bool) -> None:
    """Say everything about the model NAME (the default one where it is left out)."""
    from assistant.models import describing
    from assistant.models.examining import examined

    shelf = _shelf(obj)
    found = examined(shelf.find(name) if name else shelf.default()[0])
    default = shelf.is_default(found)
    if as_json:
        _print_json(describing.as_json(found, default=default))
        return
    for what, value in describing.rows(found, default=default):
        click.echo(f"{what:14s} {value}")


@models.command(context_settings=HELP)
@click.argument("name", required=False)
@click.pass_obj
def default(obj: dict[str, Any], name: str | None) -> None:
    """Make NAME the model for those who name none; without NAME, say which it is."""
    shelf = _shelf(obj)
    if name is None:
        chosen, note = shelf.default()
        click.echo(chosen.key)
        if note:
            click.echo(note, err=True)
        return
    click.echo(f"{shelf.set_default(name).key} is the default now.")


@models.command(context_settings=HELP)
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(obj: dict[str, Any], name: str, yes: bool) -> None:
    """Remove the model NAME, or what has come of an unfinished download. Files outside the models folder stay."""
    shelf = _shelf(obj)
    question = shelf.question(name)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Give --yes to answer without a terminal.")
        if not click.confirm(question):
            click.echo("Nothing was removed.")
            return
    click.echo(shelf.remove(name))


def _print_json(data: Any) -> None:
    import json

    click.echo(json.dumps(data, indent=1, ensure_ascii=False))
