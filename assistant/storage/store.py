"""Store: chats, messages and verdicts, written before they are used. Statements on them are in its parts only."""

from __future__ import annotations

from pathlib import Path

from assistant.storage.branches import Branches
from assistant.storage.chats import Chats
from assistant.storage.exchange import Exchange
from assistant.storage.feedback import FeedbackStore
from assistant.storage.messages import Messages
from assistant.storage.search import Search
from assistant.storage.settings import Settings
from assistant.storage.verdicts import Verdicts

# Where the numbers of chats that are never written begin: no file will ever have as many.
TEMPORARY = 2**40


class Store(Chats, Messages, Branches, Search, Settings, Verdicts, FeedbackStore, Exchange):
    """Chats and verdicts in one file, or in memory where `path` is None. Every method may raise StorageError."""

    def __init__(self, path: Path | None, copy_of: Path | None = None) -> None:
        super().__init__(path, copy_of)
        self.stop_orphans(starting=True)


class TemporaryStore(Store):
    """Chats in memory beside those of a file, told apart from them by their numbers."""

    def __init__(self) -> None:
        super().__init__(None)
        for table in ("chats", "messages"):
            self._run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", table, TEMPORARY)


def is_temporary(chat: int | None) -> bool:
    return chat is not None and chat > TEMPORARY
