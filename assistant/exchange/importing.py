"""What a file is that is to be imported, and bringing what is in it into the store: all of it, or nothing."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.errors import ExchangeError
from assistant.exchange import archive, chatgpt
from assistant.exchange.chat_json import from_data
from assistant.exchange.llm_logs import read_logs
from assistant.exchange.tree import ChatTree
from assistant.storage.exchange import Exchange, Step, Taken
from assistant.text import printable

KNOWN = (
    "a homespun archive (.zip) or chat (.json), ChatGPT's export (the .zip as downloaded, or conversations.json), "
    "or llm's logs.db"
)


@dataclass
class Found:
    """What was read from a file."""

    what: str
    trees: list[ChatTree]
    rest: dict[str, Any] = field(default_factory=dict)  # of an archive: what else was in the database
    settings: str = ""  # … and the file of settings


def read(path: Path, step: Step = lambda done: None) -> Found:
    """Everything in the file or unpacked folder at `path`, checked; `step` is told how many chats are read.

    Raises:
        ExchangeError: it cannot be read, is damaged, or is nothing we know; one sentence that begins with its name.
    """
    try:
        return _read(path, step)
    except ExchangeError as error:
        raise ExchangeError(f"{printable(str(path))} cannot be imported. {printable(str(error))}") from error
    except UnicodeDecodeError:
        raise ExchangeError(f"{printable(str(path))} cannot be imported. It is no text in UTF-8.") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError) as error:
        why = "It is damaged, or was not downloaded to its end."
        if "encrypted" in str(error):
            why = "It has a password: unpack it first."
        raise ExchangeError(f"{printable(str(path))} cannot be imported. {why}") from error
    except MemoryError:
        raise ExchangeError(f"{printable(str(path))} cannot be imported. It does not fit into memory.") from None
    except OSError as error:
        raise ExchangeError(f"{printable(str(path))} cannot be read: {error.strerror or error}.") from None


def bring(store: Exchange, found: Found, step: Step | None = None) -> Taken:
    """Store what was read.

    Raises:
        StorageError: nothing of it was stored.
    """
    return store.take_in(found.trees, step, found.rest)


def told(found: Found, taken: Taken) -> str:
    """What an import did, in a sentence or two."""
    parts = [f"{_count(taken.new, 'chat')} with {_count(taken.messages, 'message')} imported from {found.what}"]
    if taken.grown:
        parts.append(f"{_count(taken.grown, 'chat')} here got more messages")
    if taken.known:
        parts.append(f"{_count(taken.known, 'chat')} {'was' if taken.known == 1 else 'were'} here already")
    total: Counter[str] = Counter()
    for tree in found.trees:
        total.update(tree.notes)
    left = ", ".join(f"{count} {kind}" for kind, count in (+total).most_common())
    return "; ".join(parts) + "." + (f" Left out, for there is no place for it here: {left}." if left else "")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _read(path: Path, step: Step) -> Found:
    if path.is_dir():
        files = sorted(path.glob("conversations*.json"))
        if not files:
            raise ExchangeError(f"There is no conversations.json in this folder. What can be: {KNOWN}.")
        return Found("ChatGPT", [tree for file in files for tree in _conversations(file.read_text("utf-8-sig"), step)])
    with path.open("rb") as file:
        begins = file.read(16)
    if begins == b"SQLite format 3\0":
        return Found("llm", read_logs(path))
    if begins.startswith(b"PK"):
        with zipfile.ZipFile(path) as packed:
            return _packed(packed, step)
    return _text(path.read_text("utf-8-sig"), step)


def _packed(packed: zipfile.ZipFile, step: Step) -> Found:
    names = packed.namelist()
    if archive.MANIFEST in names:
        return Found("an archive", *archive.read_archive(packed, step))
    wanted = sorted(n for n in names if n.rsplit("/", 1)[-1].startswith("conversations") and n.endswith(".json"))
    if not wanted:
        raise ExchangeError(f"There are no chats in it that are known here. What can be: {KNOWN}.")
    trees: list[ChatTree] = []
    for name in wanted:
        with archive.opened(packed, name) as file:
            trees += _conversations(file.read().decode("utf-8-sig"), step)
    return Found("ChatGPT", trees)


def _text(text: str, step: Step) -> Found:
    start = text.lstrip()[:1]
    if start == "{":
        data = list(_elements(f"[{text}]"))
        if len(data) == 1 and not chatgpt.is_conversation(data[0]):
            return Found("a file", [from_data(data[0])])
    elif start != "[":
        raise ExchangeError(f"It is nothing known here. What can be: {KNOWN}.")
    return Found("ChatGPT", _conversations(text if start == "[" else f"[{text}]", step))


def _conversations(text: str, step: Step) -> list[ChatTree]:
    trees = []
    for number, data in enumerate(_elements(text), 1):
        step(number)
        try:
            trees.append(chatgpt.conversation(data if isinstance(data, dict) else {}))
        except ExchangeError as error:
            raise ExchangeError(f"Conversation {number} is broken. {error}") from error
    return trees


def _elements(text: str) -> Iterator[Any]:
    """The elements of a JSON list one by one, so that the whole of a large file is never there as objects."""
    decoder = json.JSONDecoder()
    at, first = _blank(text, _blank(text, 0) + 1), True
    try:
        while text[at] != "]":
            if not first:
                if text[at] != ",":
                    raise ValueError
                at = _blank(text, at + 1)
            element, at = decoder.raw_decode(text, at)
            yield element
            at, first = _blank(text, at), False
    except (ValueError, IndexError, RecursionError):
        line = text.count("\n", 0, at) + 1
        raise ExchangeError(f"It is broken JSON from line {line} on, or was not written to its end.") from None


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
