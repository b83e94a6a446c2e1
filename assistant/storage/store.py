"""Store: chats and messages, written before they are used. The only place with SQL statements on them."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from assistant.storage.database import open_database, storage_errors, transaction

Status = Literal["complete", "streaming", "stopped", "failed"]


@dataclass(frozen=True)
class Chat:
    id: int
    title: str
    model: str
    draft: str
    updated: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Message:
    id: int
    chat: int
    parent: int | None
    role: str
    content: str
    status: Status
    tokens: int | None
    tokens_per_second: float | None
    seconds_to_first_token: float | None


@dataclass(frozen=True)
class Hit:
    """A message that was searched for and found."""

    chat: int
    message: int
    title: str
    snippet: str  # the place, with the words found between « and »


class Store:
    """The chats in one database file, or in memory where `path` is None. Every method may raise StorageError."""

    def __init__(self, path: Path | None, copy_of: Path | None = None) -> None:
        self.path = path
        self._db = open_database(path, copy_of)
        self._db.conn.row_factory = sqlite3.Row
        self._stop_orphans()

    def close(self) -> None:
        self._db.close()

    def _stop_orphans(self) -> None:
        """Replies whose process is gone were cut off by a crash: what there is of them is kept and marked."""
        rows = self._all("SELECT DISTINCT owner FROM messages WHERE status = 'streaming'")
        for owner in (row["owner"] for row in rows):
            if owner is None or owner == os.getpid() or not _alive(owner):
                self._run("UPDATE messages SET status = 'stopped' WHERE status = 'streaming' AND owner IS ?", owner)

    # Chats

    def chats(self) -> list[Chat]:
        """All of them, the one used last first."""
        rows = self._all("SELECT * FROM chats WHERE archived = 0 ORDER BY updated DESC, id DESC")
        return [_chat(row) for row in rows]

    def chat(self, chat: int) -> Chat | None:
        rows = self._all("SELECT * FROM chats WHERE id = ?", chat)
        return _chat(rows[0]) if rows else None

    def rename(self, chat: int, title: str) -> None:
        self._run("UPDATE chats SET title = ? WHERE id = ?", title, chat)

    def delete(self, chat: int) -> None:
        """For good: secure_delete overwrites the text, and the log that still held it is emptied."""
        self._run("DELETE FROM chats WHERE id = ?", chat)
        with storage_errors(self.path):
            if sqlite3.sqlite_version_info < (3, 42):  # its index has no secure-delete: only a merge drops old words
                self._db.conn.execute("INSERT INTO messages_fts(messages_fts) VALUES ('optimize')")
            self._db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def draft(self, chat: int | None) -> str:
        """What stands unsent in the prompt of `chat`; of the chat that is not begun yet where it is None."""
        if chat is None:
            return self.setting("draft")
        found = self.chat(chat)
        return found.draft if found else ""

    def save_draft(self, chat: int | None, text: str) -> None:
        if chat is None:
            self.set("draft", text)
        else:
            self._run("UPDATE chats SET draft = ? WHERE id = ?", text, chat)

    # Messages

    def begin_turn(self, chat: int | None, text: str, title: str, model: str) -> tuple[int, int, int]:
        """In one transaction: the chat, if new, the question and an empty reply; the draft is done with.

        Returns the ids of chat, question and reply.
        """
        now = _now()
        with storage_errors(self.path), transaction(self._db):
            execute = self._db.conn.execute
            if chat is None:
                chat = execute(
                    "INSERT INTO chats (title, model, created, updated) VALUES (?, ?, ?, ?)", (title, model, now, now)
                ).lastrowid
                execute("DELETE FROM settings WHERE key = 'draft'")
            assert chat is not None
            (leaf,) = execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
            question = self._insert(chat, leaf, "user", text, "complete", model, now)
            reply = self._insert(chat, question, "assistant", "", "streaming", model, now)
            execute("UPDATE chats SET leaf = ?, draft = '', updated = ? WHERE id = ?", (reply, now, chat))
        return chat, question, reply

    def begin_again(self, chat: int, model: str) -> int | None:
        """An empty sibling of the chat's last reply, to be made anew; None when there is no reply."""
        now = _now()
        with storage_errors(self.path), transaction(self._db):
            execute = self._db.conn.execute
            row = execute(
                "SELECT parent FROM messages WHERE role = 'assistant' AND id = (SELECT leaf FROM chats WHERE id = ?)",
                (chat,),
            ).fetchone()
            if row is None:
                return None
            reply = self._insert(chat, row["parent"], "assistant", "", "streaming", model, now)
            execute("UPDATE chats SET leaf = ?, updated = ? WHERE id = ?", (reply, now, chat))
        return reply

    def _insert(self, chat: int, parent: int | None, role: str, text: str, status: Status, model: str, now: str) -> int:
        owner = os.getpid() if status == "streaming" else None
        cursor = self._db.conn.execute(
            "INSERT INTO messages (chat, parent, role, content, status, owner, model, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (chat, parent, role, text, status, owner, model, now),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def flush(self, message: int, text: str) -> None:
        """Save what there is of a reply that is being made."""
        self._run("UPDATE messages SET content = ? WHERE id = ?", text, message)

    def finish(self, message: int, text: str, status: Status, **numbers: Any) -> None:
        """The end of a reply; `numbers` are tokens, tokens_per_second, seconds_to_first_token and seed."""
        values = {"content": text, "status": status, "owner": None, **numbers}
        columns = ", ".join(f"{name} = ?" for name in values)
        self._run(f"UPDATE messages SET {columns} WHERE id = ?", *values.values(), message)

    def history(self, chat: int) -> list[Message]:
        """The messages on the way from the first to the chat's leaf."""
        rows = self._all(
            """WITH RECURSIVE path(id, parent, depth) AS (
                SELECT id, parent, 0 FROM messages WHERE id = (SELECT leaf FROM chats WHERE id = ?)
                UNION ALL SELECT m.id, m.parent, path.depth + 1 FROM messages m JOIN path ON m.id = path.parent
            ) SELECT messages.* FROM path JOIN messages ON messages.id = path.id ORDER BY path.depth DESC""",
            chat,
        )
        return [Message(**{name: row[name] for name in Message.__dataclass_fields__}) for row in rows]

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        """Messages with all the words of `text`, best first; where words find nothing, the text as it stands.

        The index knows words between spaces, so a piece of Chinese or Japanese is found by the second way.
        """
        text = text.strip()
        if not text:
            return []
        select = "SELECT m.chat, m.id AS message, c.title, {} AS snippet FROM messages m JOIN chats c ON c.id = m.chat "
        words = self._all(
            select.format("snippet(messages_fts, 0, '«', '»', '…', 12)")
            + "JOIN messages_fts ON messages_fts.rowid = m.id WHERE messages_fts MATCH ? ORDER BY rank LIMIT ?",
            self._db.quote_fts(text) + "*",
            limit,
        )
        if words:
            return [Hit(**row) for row in words]
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        literal = self._all(
            select.format("m.content") + "WHERE m.content LIKE ? ESCAPE '\\' ORDER BY m.id DESC LIMIT ?", pattern, limit
        )
        return [Hit(**{**row, "snippet": _around(row["snippet"], text)}) for row in map(dict, literal)]

    # Settings

    def setting(self, key: str, default: str = "") -> str:
        rows = self._all("SELECT value FROM settings WHERE key = ?", key)
        return str(rows[0]["value"]) if rows else default

    def set(self, key: str, value: str) -> None:
        self._run(
            "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            key,
            value,
        )

    def _all(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with storage_errors(self.path):
            return self._db.conn.execute(statement, values).fetchall()

    def _run(self, statement: str, *values: Any) -> None:
        with storage_errors(self.path):
            self._db.conn.execute(statement, values)


def _chat(row: sqlite3.Row) -> Chat:
    return Chat(**{name: row[name] for name in Chat.__dataclass_fields__})


def _around(content: str, text: str) -> str:
    at = max(content.lower().find(text.lower()), 0)
    start, end = max(at - 30, 0), at + len(text)
    before, after = "…" if start else "", "…" if len(content) > end + 30 else ""
    return f"{before}{content[start:at]}«{content[at:end]}»{content[end : end + 30]}{after}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
