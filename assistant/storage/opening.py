"""Opening the chats for a window or a plain session: on disk, or in memory with a warning where that cannot be."""

from __future__ import annotations

from assistant.errors import StorageError
from assistant.paths import Paths
from assistant.storage.store import Store


def open_store(paths: Paths) -> tuple[Store, str]:
    """The chats on disk; where they cannot be written, what can be read of them, in memory, and a warning."""
    try:
        paths.make()
        return Store(paths.database), ""
    except StorageError as error:
        warning = f"{error} What you write now is kept in memory only and is gone when you leave."
    try:
        return Store(None, copy_of=paths.database), warning
    except StorageError:  # nothing there, damaged or from a newer version: the warning says so
        return Store(None), warning
