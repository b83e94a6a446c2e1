"""Adding a folder or file to a library: checked, by its whole path; and a name for a new library."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from assistant.errors import LibraryError
from assistant.storage.libraries import Libraries
from assistant.text import printable

LONGEST_NAME = 60


def add(store: Libraries, library: str, wish: str) -> str:
    """Let `library` have the folder or file that a person named. Returns its whole path; nothing is read yet.

    Raises:
        LibraryError: it is not there, or is the whole disk, or the name is none.
    """
    path = Path(os.path.expanduser(wish.strip())).absolute()
    if not os.path.exists(path):
        raise LibraryError(f"There is no {printable(str(path))}.")
    if path == Path(path.anchor):
        raise LibraryError("The whole disk is no library: name a folder in it.")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise LibraryError(f"The name {printable(str(path))} is not in UTF-8: rename it.") from None
    name = " ".join(printable(library).split())
    if not name or name == "-" or len(name) > LONGEST_NAME:
        raise LibraryError(f"A library's name has 1 to {LONGEST_NAME} characters.")
    if store.path is None:
        raise LibraryError("Documents need a data folder that can be written.")
    store.add_source(name, os.path.normpath(path))
    return os.path.normpath(path)


def new_name(wish: Path, taken: Collection[str]) -> str:
    """A name for a library of what is at `wish`: that of the folder or file, with a number where there is one."""
    name = (
        " ".join(printable(Path(os.path.expanduser(wish)).absolute().stem).split())[: LONGEST_NAME - 4] or "documents"
    )
    number = 2
    wanted = name
    while wanted in taken:
        wanted, number = f"{name} {number}", number + 1
    return wanted
