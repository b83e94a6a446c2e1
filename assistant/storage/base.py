"""The connection every part of the store works on. Errors become StorageError here; no statement on a table is here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.storage.database import indexes, open_database, storage_errors, transaction


class Base:
    """One database file, or memory where `path` is None. Every method may raise StorageError."""

    def __init__(self, path: Path | None, copy_of: Path | None = None) -> None:
        self.path = path
        self._db = open_database(path, copy_of)
        self._db.conn.row_factory = sqlite3.Row
        self._seen = self._version()

    def close(self) -> None:
        self._db.close()

    def changed(self) -> bool:
        """Whether another process has written since this was last asked. Costs microseconds."""
        before, self._seen = self._seen, self._version()
        return before != self._seen

    def _version(self) -> int:
        return int(self._all("PRAGMA data_version")[0][0])

    def _all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with storage_errors(self.path):
            return self._db.conn.execute(statement, values).fetchall()

    def _run(self, statement: str, *values: Any) -> None:
        with storage_errors(self.path):
            self._db.conn.execute(statement, values)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        with storage_errors(self.path), transaction(self._db):
            yield

    def _scrub(self) -> None:
        """After a deletion: secure_delete has overwritten the text; here the log that still held it is emptied."""
        with storage_errors(self.path):
            if sqlite3.sqlite_version_info < (3, 42):  # its index has no secure-delete: only a merge drops old words
                for index in indexes(self._db.conn):
                    self._db.conn.execute(f"INSERT INTO {index}({index}) VALUES ('optimize')")
            self._db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
