"""`homespun export` and `homespun import`: the click commands. Imports next to nothing until one is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.models.commands import HELP

if TYPE_CHECKING:
    from assistant.paths import Paths
    from assistant.storage.store import Store


@click.command("export", context_settings=HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--chat", "wanted", metavar="TITLE", help="Only this chat, by its title or a part of it.")
@click.pass_obj
def export(obj: dict[str, Any], file: Path, wanted: str | None) -> None:
    """Write everything to FILE.zip, or one chat to FILE.md, FILE.html or FILE.json.

    \b
    homespun export everything.zip
    homespun export trip.md --chat "Trip to Rome"

    The archive has all chats with their branches, the settings and personas; models are not in it. JSON is the form
    that loses nothing. Nothing is written over.
    """
    from assistant.errors import UsageError
    from assistant.exchange.archive import write_archive
    from assistant.exchange.exporting import write_chat

    store = _store(obj)
    try:
        if file.suffix == ".zip":
            if wanted is not None:
                raise UsageError("An archive holds everything. One chat goes to FILE.md, FILE.html or FILE.json.")
            count = write_archive(store, file, settings=_paths(obj).config)
            click.echo(f"{count:,} chat{'' if count == 1 else 's'} written to {file}.")
            return
        if wanted is None:
            raise UsageError("Name the chat with --chat TITLE, or write everything to FILE.zip.")
        chat = _named(store, wanted)
        write_chat(store, chat, file)
        click.echo(f"{store.chat(chat).title} written to {file}.")  # type: ignore[union-attr]
    finally:
        store.close()


@click.command("import", context_settings=HELP)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--settings", is_flag=True, help="Take the settings of an archive, too, where you have other ones.")
@click.pass_obj
def import_(obj: dict[str, Any], file: Path, settings: bool) -> None:
    """Bring the chats in FILE here: an archive or chat of homespun's, ChatGPT's export, or llm's logs.db.

    \b
    homespun import everything.zip
    homespun import ~/Downloads/chatgpt-export.zip           as downloaded, or its conversations.json
    homespun import ~/.config/io.datasette.llm/logs.db

    Chats that are here already are not doubled; they get what they lack. Either all of FILE is imported or nothing. The
    settings of an archive are taken where there are none yet, or with --settings; yours are kept beside them then.
    """
    from assistant.exchange.importing import bring, read, told
    from assistant.exchange.settings_file import differs, put

    found = read(file)
    store = _store(obj)
    try:
        click.echo(told(found, bring(store, found)))
        config = _paths(obj).config
        if said := put(found.settings, config, instead=settings):
            click.echo(said + (" --settings takes them." if differs(found.settings, config) else ""))
    finally:
        store.close()


def _paths(obj: dict[str, Any]) -> Paths:
    from assistant.paths import find_paths

    return find_paths(obj["data_dir"])


def _store(obj: dict[str, Any]) -> Store:
    from assistant.storage.store import Store

    paths = _paths(obj)
    paths.make()
    return Store(paths.database)


def _named(store: Store, wanted: str) -> int:
    from assistant.errors import UsageError

    chats = [*store.chats(), *store.chats(archived=True)]
    exact = [chat for chat in chats if chat.title.casefold() == wanted.casefold()]
    found = exact or [chat for chat in chats if wanted.casefold() in chat.title.casefold()]
    if len(found) == 1:
        return found[0].id
    if not found:
        raise UsageError(f"No chat has “{wanted}” in its title.")
    titles = ", ".join(f"“{chat.title}”" for chat in found[:5]) + (" …" if len(found) > 5 else "")
    raise UsageError(f"{len(found)} chats are called so: {titles}. Say more of the title.")
