"""`homespun doctor`: looks at everything the app stands on and says what to do about what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assistant.doctor.findings import Finding
    from assistant.paths import Paths


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON list.")
@click.option("--quick", is_flag=True, help="Do not start the engine and do not read whole models.")
@click.option("--rebuild-index", is_flag=True, help="First make the index of words anew, from the chats.")
@click.pass_obj
def doctor(obj: dict[str, Any], as_json: bool, quick: bool, rebuild_index: bool) -> None:
    """Look whether chats, models, engine, disk and terminal are well, and say what to do where they are not.

    The exit status is 0 when everything works, 1 when something does not.
    """
    from assistant.doctor import chats
    from assistant.doctor.findings import SIGNS
    from assistant.paths import find_paths
    from assistant.text import printable

    paths, found = find_paths(obj["data_dir"]), []
    if rebuild_index and paths.database.exists():
        found.append(chats.rebuild_index(paths.database))
        if not as_json:
            _show(found[0], SIGNS, printable)
    for finding in examine(paths, quick=quick):
        found.append(finding)
        if not as_json:
            _show(finding, SIGNS, printable)
    if as_json:
        import json

        click.echo(json.dumps([finding.as_json() for finding in found], indent=1, ensure_ascii=False))
    problems = sum(finding.level == "problem" for finding in found)
    if not as_json:
        click.echo(
            "\nEverything works." if not problems else f"\n{problems} thing{'s' * (problems > 1)} to mend, see !!"
        )
    sys.exit(1 if problems else 0)


def examine(paths: Paths, *, quick: bool = False) -> Iterator[Finding]:
    """All that is found, one after the other; `quick`: only what takes no time."""
    from assistant.doctor import chats, machine, models
    from assistant.models.shelf import Shelf

    yield from machine.packages()
    yield from machine.software()
    yield from machine.disk(paths)
    yield from chats.chats(paths.database)
    yield from models.models(Shelf(paths), hashes=not quick)
    if not quick:
        yield from machine.engine()
    yield from machine.terminal()


def _show(finding: Finding, signs: Any, printable: Any) -> None:
    click.echo(f"{signs[finding.level]:2s}  {finding.about}: {printable(finding.said)}")
    if finding.advice:
        click.echo(f"      → {printable(finding.advice)}")
