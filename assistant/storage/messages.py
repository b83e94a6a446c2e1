"""Turns: a question and its reply written together, flushed, finished; the way from a chat's first message to its leaf.

What changes the tree afterwards (branches, deleting) is `branches.py`.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from assistant.errors import StorageError
from assistant.processes import alive, own_start
from assistant.storage.base import Base, now
from assistant.storage.rows import Message, Status
from assistant.text import printable

# Those of a Message that are columns, in its order.
COLUMNS = ", ".join(f"messages.{name}" for name in Message._fields[:-3])
_OURS = "(:draft IS NULL OR substr(:draft, 1, length({0})) = {0})"  # a stored draft, as far as it was saved
STALE_SECONDS = 30.0  # a reply nobody has given a sign of life for this long has been abandoned


class Messages(Base):
    """Statements that make and read messages."""

    def stop_orphans(self, *, starting: bool = False) -> int:
        """Replies whose process is gone were cut off by a crash: what there is of them is kept and marked.

        A process counts as gone when there is none of its number that began when it did, or when its reply has had no
        sign of life for long. `starting`: then nothing of ours can be under way. Returns how many there were.
        """
        rows = self._all("SELECT id, owner, owner_started, heartbeat FROM messages WHERE status = 'streaming'")
        limit = (datetime.now(UTC) - timedelta(seconds=STALE_SECONDS)).isoformat(timespec="milliseconds")
        gone = [
            row["id"]
            for row in rows
            if (row["owner"] == os.getpid() and starting) or (row["owner"] != os.getpid() and not _at_work(row, limit))
        ]
        for message in gone:
            self._run("UPDATE messages SET status = 'stopped', owner = NULL WHERE id = ?", message)
        return len(gone)

    def begin_turn(
        self,
        chat: int | None,
        text: str,
        title: str,
        model: str,
        system: str = "",
        params: str = "{}",
        draft: str | None = None,
    ) -> tuple[int, int, int]:
        """In one transaction: the chat, if new, the question and an empty reply; the draft is done with.

        `title`, `system` and `params` are for a new chat. Returns the ids of chat, question and reply. A stored draft
        that `draft`, where it is given, does not begin with is another window's, and stays.
        """
        with self._writing():
            execute = self._db.conn.execute
            if chat is None:
                chat = execute(
                    "INSERT INTO chats (title, model, system, params, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
                    (title, model, system, params, now(), now()),
                ).lastrowid
                execute(f"DELETE FROM settings WHERE key = 'draft' AND {_OURS.format('value')}", {"draft": draft})
            assert chat is not None
            (leaf,) = execute("SELECT leaf FROM chats WHERE id = ?", (chat,)).fetchone()
            question, reply = self._turn(chat, leaf, text, model)
            ours = _OURS.format("draft")
            execute(f"UPDATE chats SET draft = '' WHERE id = :chat AND {ours}", {"chat": chat, "draft": draft})
        return chat, question, reply

    def begin_edit(self, message: int, text: str, model: str) -> tuple[int, int, int]:
        """A question changed: a sibling of `message` with an empty reply below. Returns chat, question and reply."""
        with self._writing():
            chat, parent = self._place(message)
            question, reply = self._turn(chat, parent, text, model)
        return chat, question, reply

    def revise(self, message: int, text: str) -> int:
        """A reply changed by hand: a sibling of `message` with `text`, at which the chat then ends."""
        with self._writing():
            chat, parent = self._place(message)
            revised = self._insert(chat, parent, "assistant", text, "complete", "", now())
            self._leaf(chat, revised)
        return revised

    def begin_again(self, chat: int, model: str, reply: int | None = None) -> int | None:
        """An empty sibling of `reply` (the chat's leaf where it is None), to be made anew.

        Where the chat ends in a question, an empty reply to that. None when there is nothing to reply to.
        """
        with self._writing():
            row = self._db.conn.execute(
                "SELECT id, parent, role FROM messages WHERE chat = ? AND id = "
                "coalesce(?, (SELECT leaf FROM chats WHERE id = ?))",
                (chat, reply, chat),
            ).fetchone()
            if row is None:
                return None
            parent = row["id"] if row["role"] == "user" else row["parent"]
            made = self._insert(chat, parent, "assistant", "", "streaming", model, now())
            self._leaf(chat, made)
        return made

    def begin_continue(self, reply: int, model: str) -> str:
        """Go on with a reply that ended early. Returns what there is of it."""
        with self._writing():
            self._db.conn.execute(
                "UPDATE messages SET status = 'streaming', owner = ?, owner_started = ?, heartbeat = ?, model = ? "
                "WHERE id = ?",
                (os.getpid(), own_start(), now(), model, reply),
            )
            (text,) = self._db.conn.execute("SELECT content FROM messages WHERE id = ?", (reply,)).fetchone()
        return str(text)

    def _turn(self, chat: int, parent: int | None, text: str, model: str) -> tuple[int, int]:
        question = self._insert(chat, parent, "user", text, "complete", model, now())
        reply = self._insert(chat, question, "assistant", "", "streaming", model, now())
        self._leaf(chat, reply)
        return question, reply

    def _place(self, message: int) -> tuple[int, int | None]:
        rows = self._all("SELECT chat, parent FROM messages WHERE id = ?", message)
        if not rows:
            raise StorageError("This message has been deleted, perhaps in another window.")
        return rows[0]["chat"], rows[0]["parent"]

    def _leaf(self, chat: int, leaf: int | None) -> None:
        self._db.conn.execute("UPDATE chats SET leaf = ?, updated = ? WHERE id = ?", (leaf, now(), chat))

    def _insert(self, chat: int, parent: int | None, role: str, text: str, status: Status, model: str, at: str) -> int:
        owner = (os.getpid(), own_start(), at) if status == "streaming" else (None, None, None)
        cursor = self._db.conn.execute(
            "INSERT INTO messages (chat, parent, role, content, status, owner, owner_started, heartbeat, model, "
            "created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (chat, parent, role, text, status, *owner, model, at),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def flush(self, message: int, text: str) -> None:
        """Save what there is of a reply that is being made; also its sign of life."""
        self._run("UPDATE messages SET content = ?, heartbeat = ? WHERE id = ?", text, now(), message)

    def beat(self, message: int) -> None:
        """A sign of life of a reply that has nothing new to save."""
        self._run("UPDATE messages SET heartbeat = ? WHERE id = ?", now(), message)

    def finish(self, message: int, text: str, status: Status, **numbers: Any) -> None:
        """The end of a reply; `numbers` are columns: tokens, tokens_per_second, finish, dropped and the like."""
        values = {"content": text, "status": status, "owner": None, "heartbeat": None, **numbers}
        columns = ", ".join(f"{name} = ?" for name in values)
        self._run(f"UPDATE messages SET {columns} WHERE id = ?", *values.values(), message)

    def history(self, chat: int) -> list[Message]:
        """The messages on the way from the first to the chat's leaf, each with its place among its siblings."""
        rows = self._all(
            f"""WITH RECURSIVE path(id, parent, depth) AS (
                SELECT id, parent, 0 FROM messages WHERE id = (SELECT leaf FROM chats WHERE id = ?)
                UNION ALL SELECT m.id, m.parent, path.depth + 1 FROM messages m JOIN path ON m.id = path.parent
            ) SELECT {COLUMNS}, coalesce((SELECT mark FROM feedback WHERE message = messages.id), 0) AS mark
            FROM path JOIN messages ON messages.id = path.id ORDER BY path.depth DESC""",
            chat,
        )
        families: dict[int | None, list[int]] = {}
        for row in self._all("SELECT id, parent FROM messages WHERE chat = ? ORDER BY id", chat):
            families.setdefault(row["parent"], []).append(row["id"])
        return [_message(row, families[row["parent"]]) for row in rows]

    def tree(self, chat: int) -> list[Message]:
        """All messages of a chat, whatever branch they are on, the older first."""
        rows = self._all(f"SELECT {COLUMNS}, 0 FROM messages WHERE chat = ? ORDER BY id", chat)
        return [_message(row, [row["id"]]) for row in rows]

    def asked(self, limit: int = 200) -> list[str]:
        """What people have sent, in all chats, the newest first, each text once: for going back in the prompt."""
        rows = self._all(
            "SELECT content FROM messages WHERE role = 'user' AND length(content) < 20000 ORDER BY id DESC LIMIT ?",
            limit,
        )
        return list(dict.fromkeys(printable(row["content"]) for row in rows))


def _message(row: sqlite3.Row, family: list[int]) -> Message:
    """Of a row with COLUMNS and the mark. By place, not by name: a long chat is read twice as fast."""
    number, chat, parent, role, content, *rest, mark = row
    content = printable(content)  # the file may have been written by others
    return Message(*[number, chat, parent, role, content, *rest, family.index(number) + 1, len(family), mark])


def _at_work(row: sqlite3.Row, limit: str) -> bool:
    """Whether the process that makes the reply is there and has given a sign of life since `limit`."""
    return alive(row["owner"], row["owner_started"]) and (row["heartbeat"] or limit) >= limit
