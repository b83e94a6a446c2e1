"""The app's exception tree. `str(error)` is one or two sentences that a person can act on.

AssistantError
├── UsageError            the command line asks for something that cannot be
├── StorageError          chats cannot be read or written
│   ├── NewerSchemaError  the database was written by a newer homespun
│   ├── DiskFullError     … cannot be written for want of room; there may be some later
│   ├── ReadOnlyError     … cannot be written here
│   ├── LockedError       … another program holds the database; it may let go later
│   └── DamagedError      the file is no database any more
├── SettingsError         the file of settings cannot be changed
├── ModelsError           a model cannot be added, removed or made the default
│   └── Interrupted       … and what has come of it so far is kept, to go on from there
├── LearningError         a fine-tuning run cannot be started, stopped or adopted
├── ExchangeError         a file cannot be imported or written
├── LibraryError          a document cannot be read, or a library made
└── WorkerDied            the engine's process ended in the middle of something
"""

from __future__ import annotations


def ending(error: Exception) -> tuple[str, int] | None:
    """What a command that ends by `error` says, and its exit status (1: the engine died); None: nobody expected it."""
    from engine.errors import EngineError

    if not isinstance(error, AssistantError | EngineError):
        return None
    return str(error), 1 if isinstance(error, WorkerDied) else 2


class AssistantError(Exception):
    """Base of everything the app raises on purpose."""


class UsageError(AssistantError):
    pass


class StorageError(AssistantError):
    pass


class NewerSchemaError(StorageError):
    pass


class DiskFullError(StorageError):
    pass


class ReadOnlyError(StorageError):
    pass


class LockedError(StorageError):
    pass


class DamagedError(StorageError):
    pass


class SettingsError(AssistantError):
    pass


class ModelsError(AssistantError):
    pass


class Interrupted(ModelsError):
    pass


class LearningError(AssistantError):
    pass


class ExchangeError(AssistantError):
    pass


class LibraryError(AssistantError):
    pass


class WorkerDied(AssistantError):
    pass
