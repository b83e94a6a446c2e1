"""Fetching: a manifest's sources from their URLs, with progress, resuming and checksums.

The one place in the lab that opens a socket, and only when it is asked to.

A download lies beside its place as `NAME.part` until it is whole and its checksum is right, so what has its name is
good. Reading it is `documents.py`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from training.data.documents import BLOCK, DAMAGED, open_bytes
from training.recipe import RecipeError, Source

TRIES = 5  # in a row that bring nothing
PAUSE = 2.0  # seconds before the second try, twice as long before each other
TIMEOUT = 30.0  # seconds without a byte
TEMPORARY = {408, 429, 500, 502, 503, 504}  # answers that may be others a little later


@dataclass(frozen=True)
class Fetched:
    """What became of one source."""

    source: Source
    path: Path
    new: bool  # fetched now, and not there before
    sha256: str  # of the file, unpacked where it is compressed
    checked: bool  # against the manifest


def fetch(source: Source, folder: Path, pause: Callable[[float], object] = time.sleep) -> Fetched:
    """Bring `source` to its place below `folder`, going on where an earlier try stopped.

    Raises:
        RecipeError: it has no URL or no single place, the server refuses, the disk is too small, or what came is not
            what the manifest's sha256 says.
    """
    target = _place(source, folder)
    if target.exists():
        return _checked(source, target, target, new=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _download(source, part, pause)
    fetched = _checked(source, part, target, new=True)
    part.replace(target)
    _note(part).unlink(missing_ok=True)
    return fetched


def _place(source: Source, folder: Path) -> Path:
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise RecipeError(f"Source {source.name}: {source.url or 'it'} is no URL that can be fetched (http or https).")
    path = PurePosixPath(source.path)
    if path.is_absolute() or ".." in path.parts or any(letter in source.path for letter in "*?["):
        raise RecipeError(f"Source {source.name}: its path {source.path!r} must be one file below the data folder.")
    return folder / path


def _note(part: Path) -> Path:
    """Where it is kept what `part` is a part of: its URL and the server's mark for that version."""
    return part.with_name(part.name + ".json")


def _download(source: Source, part: Path, pause: Callable[[float], object]) -> None:
    """Fill `part` until it is whole."""
    tries = 0
    with tqdm(desc=source.name, unit="B", unit_scale=True, mininterval=0.5) as bar:
        while True:
            before = _size(part)
            try:
                if _pull(source, part, bar):
                    return
                problem = "the connection ended early"
            except urllib.error.HTTPError as error:
                if error.code not in TEMPORARY:
                    raise RecipeError(
                        f"Source {source.name}: {source.url} answers {error.code} {error.reason}."
                    ) from error
                problem = f"it answers {error.code} {error.reason}"
            except (http.client.HTTPException, TimeoutError, ConnectionError, urllib.error.URLError) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            tries = 1 if _size(part) > before else tries + 1
            if tries >= TRIES:
                raise RecipeError(
                    f"Source {source.name}: {source.url} cannot be fetched ({problem}). "
                    "What has come is kept; the same command goes on from there."
                )
            pause(PAUSE * 2 ** (tries - 1))


def _pull(source: Source, part: Path, bar: tqdm[Any]) -> bool:
    """One request; True when `part` is whole after it."""
    have, mark = _size(part), _mark_of(source, part)
    headers = {"User-Agent": "homespun-data", "Accept-Encoding": "identity"}
    if have and mark:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    try:
        response = urllib.request.urlopen(urllib.request.Request(source.url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is nothing behind what is here: it is whole, or of another version
            if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return True
            part.unlink()
            return False
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        _note(part).write_text(json.dumps({"url": source.url, "mark": "" if mark.startswith("W/") else mark}))
        _check_disk(source, part, int(length or 0))
        bar.total, bar.n = total, have
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(len(block))
            file.flush()
            os.fsync(file.fileno())
    return total is None or _size(part) >= total


def _mark_of(source: Source, part: Path) -> str:
    """The server's mark of the version `part` is of; empty where it cannot be gone on with."""
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return ""
    return note["mark"] if note["url"] == source.url else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_disk(source: Source, part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise RecipeError(
            f"Source {source.name} needs {needed / 1e6:,.0f} MB more, and {part.parent} has {free / 1e6:,.0f} MB free."
        )


def _checked(source: Source, path: Path, target: Path, new: bool) -> Fetched:
    """The result for `path`, its checksum compared with the manifest's."""
    digest = hashlib.sha256()
    try:
        with open_bytes(path, target.suffix) as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except (OSError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        if not new:
            raise RecipeError(
                f"Source {source.name}: {target} is damaged ({error}). Move it away to fetch it."
            ) from error
        _throw_away(path)
        raise RecipeError(f"Source {source.name}: {target} came damaged ({error}). Fetch it again.") from error
    found = digest.hexdigest()
    if source.sha256 and found != source.sha256.lower():
        if not new:
            raise RecipeError(
                f"Source {source.name}: {target} is there, but its sha256 is {found[:12]}… and not "
                f"{source.sha256[:12]}… as in the manifest. Move it away to fetch the right one."
            )
        _throw_away(path)
        raise RecipeError(
            f"Source {source.name}: what {source.url} sends has the sha256 {found}, and not {source.sha256} as in the "
            "manifest. It was thrown away; find out why before you trust it."
        )
    return Fetched(source, target, new, found, bool(source.sha256))


def _throw_away(part: Path) -> None:
    part.unlink()
    _note(part).unlink(missing_ok=True)
