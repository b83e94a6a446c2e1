"""`homespun train …`: the commands of the training menu. Imports next to nothing until one is run.

A command for each kind of training is made from the fields of its wish, as the forms are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from assistant.learning.runs import Run, Runs
    from assistant.models.shelf import Shelf

HELP = {"help_option_names": ["-h", "--help"]}
KINDS = ("answers", "documents", "feedback", "labels", "spam", "scratch")
GATHERED = ("feedback", "spam")  # the app has their data itself
METAVARS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER"}
SYNONYMS = {"classifier": "labels"}


class Kinds(click.Group):
    """A group whose commands for the kinds are made when one is asked for: the fields need not be read to chat."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*KINDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = SYNONYMS.get(cmd_name, cmd_name)
        return _kind_command(name) if name in KINDS else super().get_command(ctx, cmd_name)


@click.group(cls=Kinds, context_settings=HELP, invoke_without_command=True)
@click.pass_context
def train(ctx: click.Context) -> None:
    """Teach the model. Without a command it lists the runs.

    \b
    homespun train answers facts.csv --name mine       questions and answers
    homespun train documents ~/notes --minutes 20      texts that it goes on reading
    homespun train feedback                            replies that you marked
    homespun train labels mails.csv                    a classifier
    homespun train spam                                verdicts that you called wrong
    homespun train scratch book.txt                    a model of its own, from raw text

    A run goes on by itself; the chat's Ctrl+L shows it, too.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


def _kind_command(kind: str) -> click.Command:
    from training.recipe_wish import TITLES, fields_of

    options: list[click.Parameter] = []
    if kind not in GATHERED:
        options.append(click.Argument(["files"], nargs=-1, required=True, metavar="FILE…"))
    for field in fields_of(kind):  # type: ignore[arg-type]
        words, flag = field.metadata, f"--{field.name.replace('_', '-')}"
        if field.name == "files":
            continue
        if isinstance(field.default, bool):
            names, more = [f"{flag}/--no-{flag[2:]}"], dict[str, Any](default=field.default)
        else:
            names, more = [flag], dict[str, Any](metavar="|".join(words["choices"]) or METAVARS[field.type])
        options.append(click.Option(names, help=words["note"].capitalize() + ".", show_default=True, **more))
    options += [
        click.Option(["--preview"], is_flag=True, help="Only show what it would see and cost."),
        click.Option(["--yes", "-y"], is_flag=True, help="Start without asking."),
        click.Option(["--detach"], is_flag=True, help="Do not wait for its end."),
    ]
    title, about = TITLES[kind]  # type: ignore[index]

    def callback(**given: Any) -> None:
        from assistant.learning.starting import start

        start(click.get_current_context().obj, kind, given)

    return click.Command(kind, params=options, callback=callback, help=f"{title}: {about}.", context_settings=HELP)


def things(obj: dict[str, Any]) -> tuple[Shelf, Runs]:
    from assistant.learning import starting

    return starting.things(obj)


def _on_run(name: str, about: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command on one run, the newest where none is named."""

    def made(function: Callable[[Shelf, Runs, Run], None]) -> click.Command:
        @click.argument("run", default="")
        @click.pass_obj
        def command(obj: dict[str, Any], run: str) -> None:
            shelf, runs = things(obj)
            function(shelf, runs, runs.named(run))

        return train.command(name, help=about, context_settings=HELP)(command)

    return made


@train.command("list", context_settings=HELP)
@click.pass_obj
def list_(obj: dict[str, Any]) -> None:
    """List the runs."""
    from assistant.learning.starting import run_line

    _, runs = things(obj)
    found = runs.all()
    for run in found:
        click.echo(run_line(run))
    if not found:
        click.echo("Nothing has been trained yet. Try: homespun train answers FILE", err=True)


@_on_run("watch", "Follow RUN until it ends; Ctrl-C leaves it running.")
def watch(shelf: Shelf, runs: Runs, run: Run) -> None:
    from assistant.learning.starting import follow

    follow(runs, run)


@_on_run("pause", "Have RUN save a checkpoint and stop.")
def pause(shelf: Shelf, runs: Runs, run: Run) -> None:
    if not run.busy:
        click.echo(f"{run.wish.name} is not under way: {run.state}.")
        return
    runs.pause(run)
    click.echo(f"{run.wish.name} saves and pauses. To go on: homespun train resume {run.key}")


@_on_run("resume", "Go on with RUN from its last checkpoint.")
def resume(shelf: Shelf, runs: Runs, run: Run) -> None:
    runs.resume(run)
    click.echo(f"{run.wish.name} goes on. To follow it: homespun train watch {run.key}")


@_on_run("keep", "Stop RUN and make a model of what it has learned so far.")
def keep(shelf: Shelf, runs: Runs, run: Run) -> None:
    runs.keep(run)
    click.echo(f"{run.wish.name} stops, and what it has learned is kept.")


@train.command(context_settings=HELP)
@click.argument("run")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def cancel(obj: dict[str, Any], run: str, yes: bool) -> None:
    """End RUN and delete its folder. A model that was adopted stays."""
    _, runs = things(obj)
    found = runs.named(run)
    question = f"Delete {found.key} and what it has learned?"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{question} Give --yes to answer without a terminal.")
        if not click.confirm(question):
            return
    runs.cancel(found)
    click.echo(f"{found.key} was deleted.")


@_on_run("show", "Show what RUN changed: numbers and replies before and after.")
def show(shelf: Shelf, runs: Runs, run: Run) -> None:
    from assistant.learning.starting import result_lines

    for line in result_lines(run):
        click.echo(line)


@_on_run("adopt", "Make the model of RUN the default.")
def adopt(shelf: Shelf, runs: Runs, run: Run) -> None:
    from assistant.learning import adopting

    if run.wish.kind == "spam":
        from assistant.learning.retraining import Retraining
        from assistant.verdicts.settings import SpamSettings

        click.echo(Retraining(SpamSettings(shelf.paths), runs).adopt(run))
        return
    info = adopting.adopt(shelf, run)
    if run.wish.kind == "labels":
        click.echo(f"{info.key} is in the models folder: {info.path}")
    else:
        click.echo(f"{info.key} is the default now. To go back: homespun train rollback")


@train.command(context_settings=HELP)
@click.option("--spam", is_flag=True, help="The spam scorer instead; the one that was adopted last is deleted.")
@click.pass_obj
def rollback(obj: dict[str, Any], spam: bool) -> None:
    """Make the default what it was before the last adoption."""
    from assistant.learning import adopting

    shelf, _ = things(obj)
    if spam:
        from assistant.verdicts.settings import SpamSettings

        click.echo(SpamSettings(shelf.paths).roll_back())
        return
    click.echo(f"{adopting.roll_back(shelf).key} is the default again.")


@train.command(context_settings=HELP)
@click.pass_obj
def tree(obj: dict[str, Any]) -> None:
    """Show the models, each below the one it was made from, and what they take on the disk."""
    from assistant.learning import adopting
    from assistant.models.events import size_text

    shelf, _ = things(obj)
    for branch in adopting.tree(shelf):
        default = ", default" if shelf.is_default(branch.info) else ""
        sign = "   " * (branch.depth - 1) + "└─ " if branch.depth else ""
        click.echo(f"{sign}{branch.info.key}  {size_text(branch.size)}{default}")


@train.command(context_settings=HELP)
@click.argument("run", default="")
@click.pass_obj
def prune(obj: dict[str, Any], run: str) -> None:
    """Delete checkpoints and tokens of RUN, or of all runs that are done; models, numbers and data stay."""
    from assistant.learning import pruning
    from assistant.models.events import size_text

    _, runs = things(obj)
    found = [runs.named(run)] if run else [one for one in runs.all() if one.state == "done"]
    click.echo(f"{size_text(sum(pruning.prune(one) for one in found))} are free again.")
