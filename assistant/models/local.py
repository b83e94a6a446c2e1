"""Taking in a model that lies on this machine: by hard links where the file system has them, else copies, or symlinks.

Runs in the child process of `fetch.py`. Which files are taken is `selection.py`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

from assistant.errors import ModelsError
from assistant.models.events import Tell, size_text
from assistant.models.selection import choose
from assistant.models.sources import Local
from engine.catalog import GGUF

BLOCK = 1 << 20  # bytes


def files_of(source: Local) -> dict[Path, str]:
    """{file: its name in the model's folder} of the model at `source`.

    Raises:
        ModelsError: there is none, or a file is not a plain one.
    """
    if source.gguf:
        return {source.path.resolve(): GGUF}
    try:
        chosen = choose(sorted(path.name for path in source.path.iterdir() if path.is_file()))
    except ModelsError as error:
        raise ModelsError(f"{source.path} cannot be added: {error}.") from None
    except OSError as error:
        raise ModelsError(f"{source.path} cannot be read: {error.strerror}.") from error
    return {(source.path / name).resolve(): target for name, target in chosen.items()}


def take(files: dict[Path, str], folder: Path, tell: Tell, *, link: bool) -> dict[str, str]:
    """Bring `files` into `folder`; returns SHA-256 by name, none of files that are only pointed to.

    Raises:
        ModelsError: a file cannot be read, or there is no room.
    """
    sums: dict[str, str] = {}
    done = 0
    for path, name in files.items():
        try:
            if link:
                (folder / name).symlink_to(path)
                continue
            sums[name] = _one(path, folder / name, lambda came, done=done: tell("bytes", done=done + came))
            done += path.stat().st_size
        except OSError as error:
            raise _failed(error, path) from error
    return sums


def _one(path: Path, target: Path, came: Tell) -> str:
    """A hard link is as good as a copy: nobody changes weights in place, and neither name needs the other."""
    sha256, size = hashlib.sha256(), 0
    linked = _hard_link(path, target)
    with path.open("rb") as source, open(os.devnull if linked else target, "wb") as out:
        while block := source.read(BLOCK):
            sha256.update(block)
            if not linked:
                out.write(block)
            size += len(block)
            came(size)
    return sha256.hexdigest()


def _hard_link(path: Path, target: Path) -> bool:
    if target.suffix not in (".safetensors", ".bin", ".gguf"):
        return False  # small files are edited by hand now and then
    try:
        os.link(path, target)
    except OSError:  # another file system, another owner, or one without hard links
        return False
    return True


def _failed(error: OSError, path: Path) -> ModelsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelsError(f"The disk is full: {path.name} takes {size_text(path.stat().st_size)}. Free some space.")
    return ModelsError(f"{path} cannot be taken in: {error.strerror or error}.")
