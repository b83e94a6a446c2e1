"""Everything as one file and back: a zip with each chat as a line of JSON, the settings and the personas.

`homespun.json` says what it is, `chats.jsonl` has the chats in the form of `chat_json.py`, `settings.json` the
rest of the database, `settings.toml` the file of settings.
Models are not in it, and of documents only where they lie.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.errors import ExchangeError
from assistant.exchange import settings_file
from assistant.exchange.chat_json import as_data, from_data
from assistant.exchange.tree import ChatTree
from assistant.exchange.writing import new_file
from assistant.models.events import size_text
from assistant.storage.exchange import Exchange, Step

FORMAT = {"format": "homespun-archive", "version": 1}
MANIFEST, CHATS, REST, SETTINGS = "homespun.json", "chats.jsonl", "settings.json", "settings.toml"
LARGEST = 2**32  # bytes of one file in it: what claims more is no archive of chats but a trap


def write_archive(store: Exchange, path: Path, step: Step | None = None, settings: Path | None = None) -> int:
    """Write everything in `store`, and the file `settings`, to the new file `path`; returns how many chats there are.

    Raises:
        ExchangeError: there is such a file, or it cannot be written.
        StorageError: the chats cannot be read.
    """
    with new_file(path) as file, store.snapshot(), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        count = 0
        entry = zipfile.ZipInfo(CHATS, time.localtime()[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w", force_zip64=True) as lines:
            for number in store.numbers():
                tree = store.whole(number)
                if tree is None:
                    continue
                lines.write(json.dumps(as_data(tree, draft=True), ensure_ascii=False).encode() + b"\n")
                count += 1
                if step is not None:
                    step(count)
        archive.writestr(REST, json.dumps(store.rest(), ensure_ascii=False, indent=1))
        if settings is not None and (text := settings_file.text_of(settings)):
            archive.writestr(SETTINGS, text)
        archive.writestr(MANIFEST, json.dumps({**FORMAT, "chats": count}))
    return count


def read_archive(archive: zipfile.ZipFile, step: Step) -> tuple[list[ChatTree], dict[str, Any], str]:
    """The chats, what else is in it for `Exchange.take_rest`, and the settings for `settings_file.put`.

    Raises:
        ExchangeError: it is damaged, incomplete, or from a newer homespun.
    """
    manifest = _object(archive, MANIFEST)
    if manifest.get("format") != FORMAT["format"] or manifest.get("version") != FORMAT["version"]:
        raise ExchangeError(
            "It is no archive that this homespun can read. Perhaps a newer one wrote it: update homespun."
        )
    trees = []
    for tree in _trees(archive):
        trees.append(tree)
        step(len(trees))
    if len(trees) != manifest.get("chats"):
        raise ExchangeError(f"It says it has {manifest.get('chats')} chats, but there are {len(trees)} in it.")
    return trees, _object(archive, REST), _settings(archive)


def _settings(archive: zipfile.ZipFile) -> str:
    if SETTINGS not in archive.namelist():
        return ""
    with opened(archive, SETTINGS, settings_file.LARGEST) as file:
        return str(file.read().decode("utf-8"))


def _trees(archive: zipfile.ZipFile) -> Iterator[ChatTree]:
    with opened(archive, CHATS) as lines:
        for number, line in enumerate(io.TextIOWrapper(lines, encoding="utf-8"), 1):
            try:
                yield from_data(json.loads(line))
            except (ExchangeError, ValueError, RecursionError) as error:
                why = str(error) if isinstance(error, ExchangeError) else "It is no JSON."
                raise ExchangeError(f"Chat {number} in it is broken. {why}") from error


def opened(archive: zipfile.ZipFile, name: str, largest: int = LARGEST) -> Any:
    """The file `name` of `archive`, to read.

    Raises:
        ExchangeError: it is not there, or larger than any chats are.
    """
    try:
        if archive.getinfo(name).file_size > largest:
            raise ExchangeError(f"{name} in it is larger than {size_text(largest)}.")
        return archive.open(name)
    except KeyError:
        raise ExchangeError(f"There is no {name} in it.") from None


def _object(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    with opened(archive, name) as file:
        try:
            found = json.load(file)
        except ValueError:
            found = None
    if not isinstance(found, dict):
        raise ExchangeError(f"{name} in it is broken.")
    return found
