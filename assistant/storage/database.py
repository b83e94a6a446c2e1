"""Opening the database: pragmas, file modes, migrations with a backup, and errors put into words.

What is stored and read is `store.py`.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import (
    DamagedError,
    DiskFullError,
    LockedError,
    NewerSchemaError,
    ReadOnlyError,
    StorageError,
)
from assistant.storage.steps import STEPS

if TYPE_CHECKING:
    from sqlite_utils import Database

BUSY_MILLISECONDS = 5000  # that opening waits for another process: it may be upgrading
LATER_MILLISECONDS = 500  # that anything later waits: the window stands still meanwhile
INDEXES = ("messages_fts", "messages_pieces", "verdicts_fts", "passages_fts")  # what is deleted leaves them, too
NOTED = (  # where sqlite_utils keeps the steps that were taken
    """CREATE TABLE "_sqlite_migrations" (
        "id" INTEGER PRIMARY KEY, "migration_set" TEXT, "name" TEXT, "applied_at" TEXT)""",
    """CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
        ON "_sqlite_migrations" ("migration_set", "name")""",
)
NEWEST = STEPS[-1].__name__


class Handle:
    """A connection, and what sqlite_utils makes of it: imported when it is asked for, it takes a tenth of a start."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.conn, self.close = connection, connection.close

    @cached_property
    def utils(self) -> Database:
        from assistant.storage.migrations import Database

        return Database(self.conn, execute_plugins=False)  # looking for plugins takes longer than opening


def open_database(path: Path | None, copy_of: Path | None = None) -> Handle:
    """The database at `path`, brought up to date; in memory where `path` is None, a copy of `copy_of` if that is given.

    Raises:
        NewerSchemaError: a newer homespun wrote it.
        StorageError: it cannot be opened, is damaged, or the disk is full or read-only.
    """
    with storage_errors(path):
        if path is not None:
            _make(path)
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=BUSY_MILLISECONDS / 1000)
        if copy_of is not None:
            _copy(copy_of, connection)
        for pragma in (
            f"busy_timeout = {BUSY_MILLISECONDS}",
            "journal_mode = WAL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "synchronous = NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}")
        db = Handle(connection)
        _migrate(db, path)
        connection.execute(f"PRAGMA busy_timeout = {min(LATER_MILLISECONDS, BUSY_MILLISECONDS)}")
    return db


def _make(path: Path) -> None:
    """Make the file before SQLite does, so that it is never readable by others, not even for a moment.

    One that is there is not opened: closing it again would take away the locks that other connections of this process
    have on it (POSIX), and a second process could then delete the log that they write to.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def _copy(path: Path, into: sqlite3.Connection) -> None:
    """Fill `into` from a file that may lie where nothing can be written, not even SQLite's own helper files."""
    for how in (
        "mode=ro",
        "mode=ro&immutable=1",
    ):  # the second needs no helper files, but sees nothing of a leftover log
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as source:
                source.backup(into)
            return
        except sqlite3.Error:
            if how != "mode=ro":
                raise


def _migrate(db: Handle, path: Path | None) -> None:
    """Apply what is pending: all or nothing, one process at a time, after a backup of anything that is there."""
    newest = _newest(db.conn)
    if newest == NEWEST or (newest is None and _begin(db)):
        return
    from assistant.storage.migrations import migrations

    known = {migration.name for migration in migrations._migrations}
    applied = {migration.name for migration in migrations.applied(db.utils)}
    if unknown := applied - known:
        raise NewerSchemaError(
            f"The chats in {path} were written by a newer homespun (step {max(unknown)}). "
            "Update homespun; nothing was changed."
        )
    if not migrations.pending(db.utils):
        return
    if path is not None and applied:
        backup = path.with_suffix(f".before-{min(known - applied)}.db")
        if not backup.exists():
            db.conn.execute("VACUUM INTO ?", [str(backup)])
            backup.chmod(0o600)
    with transaction(db):  # immediate: of two first starts at once, the second waits and then finds nothing to do
        migrations.apply(db.utils)
    _delete_for_good(db.conn)


def _begin(db: Handle) -> bool:
    """Take all steps if nothing is there yet, and say whether that was so.

    The steps are noted as sqlite_utils notes them, which is not imported for it: it would take an eighth of a first
    start, and a temporary chat is a new database, too.
    """
    with transaction(db):  # immediate: of two first starts at once, the second waits and then finds nothing to do
        if db.conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return False
        for statement in NOTED:
            db.conn.execute(statement)
        for step in STEPS:
            step(db.conn)
            noted = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('homespun', ?, ?)"
            db.conn.execute(noted, (step.__name__, str(datetime.now(UTC))))
    _delete_for_good(db.conn)
    return True


def _delete_for_good(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.OperationalError):  # SQLite before 3.42 has no such option
        for index in indexes(connection):
            connection.execute(f"INSERT INTO {index}({index}, rank) VALUES ('secure-delete', 1)")


def _newest(connection: sqlite3.Connection) -> str | None:
    """The last step that was taken."""
    steps = "SELECT name FROM sqlite_master WHERE name = '_sqlite_migrations'"
    if not connection.execute(steps).fetchone():
        return None
    last = "SELECT max(name) FROM _sqlite_migrations WHERE migration_set = 'homespun'"
    return str(connection.execute(last).fetchone()[0])


def indexes(connection: sqlite3.Connection) -> list[str]:
    """Those of INDEXES that there are: an old SQLite has no index of pieces of words."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'").fetchall()
    names = {row[0] for row in found}
    return [index for index in INDEXES if index in names]


@contextmanager
def transaction(db: Handle) -> Iterator[None]:
    """Everything inside happens, or nothing."""
    db.conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.conn.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            db.conn.execute("ROLLBACK")
        raise


@contextmanager
def storage_errors(path: Path | None) -> Iterator[None]:
    """SQLite's and the system's errors as StorageError, with a sentence that says what to do."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise _in_words(error, path) from error


def _in_words(error: Exception, path: Path | None) -> StorageError:
    text = str(error).lower()
    if "readonly" in text or "read-only" in text or isinstance(error, PermissionError):
        return ReadOnlyError(f"The chats in {path} cannot be written: the file or its folder is read-only.")
    if "full" in text or "no space" in text or ("disk i/o" in text and _no_room(path)):
        return DiskFullError(f"The disk is full, so the chats in {path} cannot be written. Free some space, try again.")
    if "locked" in text:
        return LockedError(f"The chats in {path} are busy in another program. Close it and try again.")
    if "not a database" in text or "malformed" in text:
        return DamagedError(f"The chats in {path} are damaged. homespun doctor says more; the file was left as it is.")
    if "disk i/o" in text or "unable to open" in text:
        where = f"The chats in {path} cannot be reached ({error}): the file or its disk may be gone."
        return StorageError(f"{where} homespun doctor says more.")
    return StorageError(f"The chats in {path} cannot be used: {error}.")


def _no_room(path: Path | None) -> bool:
    """Whether the disk is as good as full: SQLite calls it an I/O error when its shared memory file finds no room."""
    try:
        return path is not None and shutil.disk_usage(path.parent).free < 65536
    except OSError:
        return False
