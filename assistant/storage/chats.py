"""Chats as a whole: the list, names, pins, the archive, drafts, what each wants of the model."""

from __future__ import annotations

import os
import sqlite3

from assistant.prompting.folding import SEPARATOR
from assistant.storage.base import Base
from assistant.storage.rows import Chat
from assistant.text import printable


class Chats(Base):
    """Statements on the table `chats`."""

    def chats(self, *, archived: bool = False, limit: int = -1) -> list[Chat]:
        """Those in use (or those put away): pinned ones first, then the one used last; `limit` of them, -1: all."""
        rows = self._all(
            "SELECT * FROM chats WHERE archived = ? ORDER BY pinned DESC, updated DESC, id DESC LIMIT ?",
            int(archived),
            limit,
        )
        busy = {
            row["chat"]
            for row in self._all("SELECT chat FROM messages WHERE status = 'streaming' AND owner IS NOT ?", os.getpid())
        }
        return [_chat(row, row["id"] in busy) for row in rows]

    def chat(self, chat: int) -> Chat | None:
        rows = self._all("SELECT * FROM chats WHERE id = ?", chat)
        return _chat(rows[0]) if rows else None

    def rename(self, chat: int, title: str) -> None:
        """A title that a person gave."""
        self._run("UPDATE chats SET title = ?, named = 1 WHERE id = ?", title, chat)

    def entitle(self, chat: int, title: str) -> None:
        """A title that was made; one that a person gave stays."""
        self._run("UPDATE chats SET title = ? WHERE id = ? AND named = 0", title, chat)

    def pin(self, chat: int, pinned: bool) -> None:
        self._run("UPDATE chats SET pinned = ? WHERE id = ?", int(pinned), chat)

    def archive(self, chat: int, archived: bool) -> None:
        """Put a chat away, or take it out again; it is found by the search all the same."""
        self._run("UPDATE chats SET archived = ? WHERE id = ?", int(archived), chat)

    def instruct(self, chat: int, system: str, params: str) -> None:
        """The chat's own instruction and sampling settings (JSON)."""
        self._run("UPDATE chats SET system = ?, params = ? WHERE id = ?", system, params, chat)

    def delete(self, chat: int) -> None:
        """For good: off the disk, the index and the log."""
        self._run("DELETE FROM chats WHERE id = ?", chat)
        self._scrub()

    def draft(self, chat: int | None) -> str:
        """What stands unsent in the prompt of `chat`; of the chat that is not begun yet where it is None."""
        key = "SELECT draft AS text FROM chats WHERE id = ?"
        if chat is None:
            key, chat = "SELECT value AS text FROM settings WHERE key = 'draft' AND ? = 0", 0
        rows = self._all(key, chat)
        text = str(rows[0]["text"]) if rows else ""
        return SEPARATOR.join(map(printable, text.split(SEPARATOR)))  # what is around folds stays

    def save_draft(self, chat: int | None, text: str, instead_of: str | None = None) -> None:
        """Keep `text`. An empty one only takes the place of `instead_of`, where that is given: another window may have
        kept something else meanwhile."""
        if not text and instead_of is not None and self.draft(chat) != instead_of:
            return
        if chat is None:
            self._run(
                "INSERT INTO settings (key, value) VALUES ('draft', ?) "
                "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                text,
            )
        else:
            self._run("UPDATE chats SET draft = ? WHERE id = ?", text, chat)


def _chat(row: sqlite3.Row, busy: bool = False) -> Chat:
    names = [name for name in Chat._fields if name != "busy"]
    values = {name: row[name] for name in names}
    values["title"] = printable(values["title"])  # the file may have been written by others
    return Chat(**{**values, **{name: bool(values[name]) for name in ("archived", "pinned", "named")}}, busy=busy)
