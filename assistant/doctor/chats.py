"""Is the file of chats whole? Looks with SQLite alone, so that it can also look at what the app cannot open."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from assistant.doctor.findings import Finding
from assistant.models.events import size_text
from assistant.storage.database import indexes
from assistant.storage.migrations import migrations

ABOUT = "Chats"
WAIT = 2.0  # seconds for a lock
REBUILD = "homespun doctor --rebuild-index makes it anew from the chats; nothing is lost."


def chats(path: Path) -> Iterator[Finding]:
    """What is to be said of the database at `path`."""
    if not path.exists():
        yield Finding("note", ABOUT, f"There are none yet; they will be in {path}.")
        return
    try:
        with closing(_connect(path)) as db:
            found = list(_whole(db, path))
            yield from found
            if all(finding.level != "problem" for finding in found):
                yield from _version(db)
                yield from _index(db)
    except sqlite3.DatabaseError as error:
        yield _failed(error, path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Finding("warning", ABOUT, f"Others on this computer may read {path}.", f"Run: chmod 600 {path}")


def rebuild_index(path: Path) -> Finding:
    """Make the index of words anew."""
    try:
        with closing(_connect(path)) as db:
            for index in indexes(db):
                if index.startswith("messages"):
                    db.execute(f"INSERT INTO {index}({index}) VALUES ('rebuild')")
    except sqlite3.DatabaseError as error:
        return _failed(error, path)
    return Finding("good", "Search", "The index of words was made anew.")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT)


def _whole(db: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    wrong = [row[0] for row in db.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
    if wrong:
        yield Finding("problem", ABOUT, f"The file is damaged ({wrong[0]}).", _rescue(path))
        return
    if lost := len(db.execute("PRAGMA foreign_key_check").fetchall()):
        yield Finding("problem", ABOUT, f"{lost} rows belong to something that is gone.", _rescue(path))
    (count,) = db.execute("SELECT count(*) FROM chats").fetchone()
    (messages,) = db.execute("SELECT count(*) FROM messages").fetchone()
    size = size_text(path.stat().st_size)
    yield Finding("good", ABOUT, f"{count:,} chats with {messages:,} messages, {size} in {path}; the file is whole.")


def _rescue(path: Path) -> str:
    """What can still be done for a damaged file."""
    copies = sorted(path.parent.glob(f"{path.stem}.before-*.db"), key=lambda file: file.stat().st_mtime)
    backup = f" A copy from before the last upgrade is {copies[-1]}." if copies else ""
    return (
        f"Close homespun, keep a copy of {path}, then: sqlite3 {path} .recover | sqlite3 {path.with_suffix('.new')}, "
        f"and put the new file in its place.{backup}"
    )


def _version(db: sqlite3.Connection) -> Iterator[Finding]:
    known = {migration.name for migration in migrations._migrations}
    applied = {row[0] for row in db.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'homespun'")}
    if applied - known:
        said = f"They were written by a newer homespun (step {max(applied - known)})."
        yield Finding("problem", ABOUT, said, "Update homespun: pip install --upgrade homespun")
    elif known - applied:
        said = f"They are from an older homespun, {len(known - applied)} steps behind."
        yield Finding("note", ABOUT, f"{said} The next start brings them up to date, after a backup.")


def _index(db: sqlite3.Connection) -> Iterator[Finding]:
    db.execute("BEGIN IMMEDIATE")  # the check is written as an INSERT; it changes nothing, and is taken back
    try:
        for index in indexes(db):
            if index.startswith("messages"):
                db.execute(f"INSERT INTO {index}({index}, rank) VALUES ('integrity-check', 1)")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "readonly" in str(error):
            raise
        yield Finding("problem", "Search", f"The index of words does not fit the chats ({error}).", REBUILD)
    else:
        yield Finding("good", "Search", "The index of words fits the chats.")
    finally:
        db.execute("ROLLBACK")


def _failed(error: sqlite3.DatabaseError, path: Path) -> Finding:
    text = str(error).lower()
    if "locked" in text:
        return Finding("warning", ABOUT, "Another program holds the file.", "Close it and ask the doctor again.")
    if "readonly" in text or "unable to open" in text:
        advice = f"Make {path.parent} writable; until then new chats are kept in memory only."
        return Finding("problem", ABOUT, f"{path} cannot be written here.", advice)
    if "no such table" in text:
        return Finding(
            "problem", ABOUT, f"{path} is no file of homespun's ({error}).", f"Move it away: mv {path}{{,.old}}"
        )
    return Finding("problem", ABOUT, f"The file is damaged ({error}).", _rescue(path))
