"""What /export and /import do where there is no window: everything at once, and a sentence at the end."""

from __future__ import annotations

import os
from pathlib import Path

from assistant.chat_service import ChatService
from assistant.errors import UsageError
from assistant.settings.config import Config

SETTINGS = "--settings"


def export(service: ChatService, config: Config, chat: int | None, name: str) -> str:
    """Write everything to FILE.zip, or `chat` to FILE.md, FILE.html or FILE.json.

    Raises:
        UsageError: no file is named, or there is no chat yet.
        ExchangeError, StorageError: it cannot be written, or the chats cannot be read.
    """
    from assistant.exchange.archive import write_archive
    from assistant.exchange.exporting import write_chat

    path = _path(name, "Say where to: /export FILE.zip (everything), FILE.md, FILE.html or FILE.json (this chat).")
    if path.suffix == ".zip":
        count = write_archive(service.store, path, settings=config.path)
        return f"{count:,} chat{'' if count == 1 else 's'} written to {path}."
    if chat is None:
        raise UsageError("There is no chat to export yet. Everything goes to FILE.zip.")
    write_chat(service.store_of(chat), chat, path)
    return f"The chat is in {path}."


def import_(service: ChatService, config: Config, wish: str) -> str:
    """Bring the chats of a file here; its settings in place of those here where `wish` ends with --settings.

    Raises:
        UsageError: no file is named.
        ExchangeError, StorageError: nothing was imported.
    """
    from assistant.exchange.importing import bring, read, told
    from assistant.exchange.settings_file import differs, put

    name = wish.removesuffix(SETTINGS).strip()
    found = read(_path(name, "Say which file: /import FILE"))
    said = told(found, bring(service.store, found))
    instead = wish.endswith(SETTINGS)
    about = put(found.settings, config.path, instead=instead)
    if differs(found.settings, config.path):
        about += f" /import {name} {SETTINGS} takes them."
    config.read()
    return f"{said} {about}".rstrip()


def _path(name: str, question: str) -> Path:
    if not name.strip():
        raise UsageError(question)
    return Path(os.path.expanduser(name.strip()))
