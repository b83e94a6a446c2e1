"""The command `homespun`. Imports almost nothing itself, so that --help and --version answer at once."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from assistant.doctor.commands import doctor
from assistant.exchange.commands import export, import_
from assistant.learning.commands import train
from assistant.library.commands import library
from assistant.models.commands import HELP, models
from assistant.version import __version__


class Group(click.Group):
    """A group whose expected errors become one sentence on stderr and exit status 2 (1 when the engine died)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            sys.stderr.close()  # the reader of our output has gone; there is nobody to tell
            sys.exit(0)
        except Exception as error:
            from assistant.errors import ending

            end = ending(error)
            if end is None and isinstance(error, OSError):  # a disk that is full, below a file or a pipe
                end = f"{error.strerror or error}.", 2
            if end is None:
                raise
            with suppress(OSError, ValueError):
                click.echo(f"Error: {end[0]}", err=True)
            _let_go()
            sys.exit(end[1])


def _let_go() -> None:
    """Write nowhere from here on: what standard output could not take would be tried again at the process's end."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@click.group(cls=Group, context_settings=HELP, invoke_without_command=True)
@click.version_option(__version__, "--version", "-V", prog_name="homespun")
@click.option("--model", help="A model's name, or the path of its folder or GGUF file.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="Of the weights: auto, fp32, bf16, int8 or int4.")
@click.option("--compile", is_flag=True, help="Decode by CUDA graphs, where there is an NVIDIA GPU.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where chats and models are kept.")
@click.option("--plain", is_flag=True, help="Chat line by line, without a window: for screen readers and pipes.")
@click.pass_context
def main(
    ctx: click.Context,
    model: str | None,
    device: str,
    precision: str,
    compile: bool,
    data_dir: Path | None,
    plain: bool,
) -> None:
    """A private chat assistant in your terminal. Without a command it opens the chat.

    Everything happens on this machine; nothing is sent anywhere.
    """
    ctx.obj = {"model": model, "device": device, "precision": precision, "compile": compile, "data_dir": data_dir}
    if ctx.invoked_subcommand is None:
        if plain:
            from assistant.plain import run as chat

            chat(model, device, data_dir, precision, compile)
            return
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError('The chat needs a terminal. For one answer use: homespun ask "…"')
        from assistant.app import run

        run(model, device, data_dir, precision, compile)


@main.command(context_settings=HELP)
@click.argument("words", nargs=-1, metavar="[QUESTION]")
@click.option("--model", help="A model's name, or the path of its folder or GGUF file.")
@click.option("--device", help="auto, cpu, cuda or mps.")
@click.option("--precision", help="Of the weights: auto, fp32, bf16, int8 or int4.")
@click.option("--system", help="An instruction that stands before the question.")
@click.option("--temperature", type=float, help="0 is the likeliest answer; higher is livelier.")
@click.option("--max-tokens", type=int, help="Longest answer, in tokens.")
@click.option("--seed", type=int, help="The same seed gives the same answer.")
@click.option("--plain", is_flag=True, help="No chat: the model goes on with the text, as a base model does.")
@click.option("--cut", is_flag=True, help="Leave out the middle of a question that is too long, and say how much.")
@click.pass_obj
def ask(
    obj: dict[str, Any],
    words: tuple[str, ...],
    model: str | None,
    device: str | None,
    precision: str | None,
    **wishes: Any,
) -> None:
    """Answer one QUESTION on standard output. Text that is piped in is put below it.

    \b
    homespun ask "Why is the sky blue?"
    homespun ask "What is this about?" < letter.txt
    """
    from assistant import ask as asking
    from assistant.models.shelf import Shelf
    from assistant.paths import find_paths

    piped = None if sys.stdin is None or sys.stdin.isatty() else _read_stdin()
    text = asking.question(words, piped)
    shelf = Shelf(find_paths(obj["data_dir"]))
    name = model or obj["model"]
    info, note = (shelf.find(name), "") if name else shelf.default()
    if note:
        click.echo(f"({note})", err=True)
    where: dict[str, Any] = {
        "device": device or obj["device"],
        "precision": precision or obj["precision"],
        "compile": obj["compile"],
    }
    asking.run(text, asking.Wishes(model=info, **where, **wishes))


def _read_stdin() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "replace")


main.add_command(models)
main.add_command(train)
main.add_command(doctor)
main.add_command(export)
main.add_command(import_)
main.add_command(library)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def data(arguments: tuple[str, ...]) -> None:
    """Bring the texts here that a model is made from: homespun data fetch MANIFEST."""
    import subprocess

    # A process of its own: the lab has libraries that the app never loads.
    sys.exit(subprocess.run([sys.executable, "-m", "training", "data", *arguments]).returncode)


@main.command(context_settings=HELP)
@click.argument("names", nargs=-1, metavar="FILE…|-")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object a mail and line; of several mails, only what may be spam says why.",
)
@click.option("--details", is_flag=True, help="Say of every mail why; a single one always does.")
@click.option(
    "--false-alarms",
    type=float,
    help="Per cent of honest mail that may be called spam [default: as set in the app, 0.1].",
)
@click.option(
    "--scorer",
    "--model",
    "scorer",
    type=click.Path(path_type=Path),
    help="Folder of a spam scorer, or homespun-spam-classical, the yardstick [default: the app's, or homespun-spam].",
)
@click.option(
    "--move", type=click.Path(path_type=Path), help="Move a Maildir's spam to this Maildir; nothing is deleted."
)
@click.option(
    "--undo", type=click.Path(path_type=Path), help="Move everything back that --move brought to this Maildir."
)
@click.pass_obj
def spam(
    obj: dict[str, Any], names: tuple[str, ...], undo: Path | None, false_alarms: float | None, **wishes: Any
) -> None:
    """Say of each mail whether it is spam, how sure that is, and why.

    FILE is a text, an .eml file, an mbox, a Maildir, or a folder with such in it; - is standard input. The exit status
    is 0 for no spam, 1 for spam, 3 for unsure and 2 for an error; of several mails the first of 2, 1, 3 that occurs.

    \b
    homespun spam letter.eml
    homespun spam - < letter.txt
    homespun spam ~/Maildir --move ~/Maildir/.Junk
    """
    from assistant.verdicts import command as judging

    if undo is not None:
        if names:
            raise click.UsageError("--undo stands alone, without mails to judge.")
        judging.undo(undo)
        return
    if not names:
        raise click.UsageError("Name a mail, an mbox or a Maildir, or - for standard input.")
    if false_alarms is not None and not 0 <= false_alarms <= 100:
        raise click.UsageError("--false-alarms must be between 0 and 100 per cent.")
    rate = false_alarms / 100 if false_alarms is not None else None
    sys.exit(judging.status(judging.SpamWishes(names, false_alarms=rate, data_dir=obj["data_dir"], **wishes)))


@main.command(context_settings=HELP)
@click.argument("names", nargs=-1, metavar="FILE…|-")
@click.option("--labels", default="", help="The labels to tell apart, with commas between them.")
@click.option("--examples", type=click.Path(path_type=Path), help="A .csv or .jsonl with the columns text and label.")
@click.option("--as", "classifier", default="", metavar="NAME", help="A classifier made before, or a model's folder.")
@click.option("--train", default="", metavar="NAME", help="Keep labels and examples as NAME; from 50 on, fine-tune.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text and line.")
@click.option("--model", help="The language model that tells them apart, or that is fine-tuned.")
@click.pass_obj
def classify(obj: dict[str, Any], names: tuple[str, ...], model: str | None, **wishes: Any) -> None:
    """Say which of any labels each text has: by the language model, or by a classifier trained on your examples.

    \b
    homespun classify - --labels "complaint,praise" < letter.txt
    homespun classify inbox.mbox --examples topics.csv
    homespun classify --examples topics.csv --train topics
    homespun classify inbox.mbox --as topics
    """
    import asyncio

    from assistant.paths import find_paths
    from assistant.verdicts import classify as labelling

    if not names and not wishes["train"]:
        raise click.UsageError("Name a text, an mbox or a folder, or - for standard input.")
    asked = labelling.ClassifyWishes(names, model=model or obj["model"], device=obj["device"], **wishes)
    sys.exit(asyncio.run(labelling.run(asked, find_paths(obj["data_dir"]))))


if __name__ == "__main__":
    main()
