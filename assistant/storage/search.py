"""Finding words in all messages: the index first, the text as it stands where that knows nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from assistant.storage.base import Base
from assistant.storage.rows import Hit
from assistant.text import printable

RANKED = 300  # of the messages with the words, the newest so many are put in order; a common word is in all


class Search(Base):
    """Statements on the index."""

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        """Messages with all the words of `text`, best first; where words find nothing, the text as it stands.

        The index knows words between spaces, so a piece of Chinese or Japanese is found by the second way.
        """
        text = text.strip()
        if not text:
            return []
        words = self._all(
            """SELECT m.chat, m.id AS message, c.title, found.snippet FROM (
                SELECT rowid, rank AS worth, snippet(messages_fts, 0, '«', '»', '…', 12) AS snippet FROM messages_fts
                WHERE messages_fts MATCH ? ORDER BY rowid DESC LIMIT ?
            ) found JOIN messages m ON m.id = found.rowid JOIN chats c ON c.id = m.chat ORDER BY found.worth LIMIT ?""",
            self._db.quote_fts(text) + ("*" if len(text) > 1 else ""),
            RANKED,
            limit,
        )
        if words:
            return [_hit(row) for row in words]
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        literal = self._all(
            "SELECT m.chat, m.id AS message, c.title, m.content AS snippet FROM messages m "
            "JOIN chats c ON c.id = m.chat WHERE m.content LIKE ? ESCAPE '\\' ORDER BY m.id DESC LIMIT ?",
            pattern,
            limit,
        )
        return [_hit({**row, "snippet": _around(row["snippet"], text)}) for row in map(dict, literal)]


def _hit(row: Mapping[str, Any] | sqlite3.Row) -> Hit:
    return Hit(row["chat"], row["message"], printable(row["title"]), printable(row["snippet"]))


def _around(content: str, text: str) -> str:
    at = max(content.lower().find(text.lower()), 0)
    start, end = max(at - 30, 0), at + len(text)
    before, after = "…" if start else "", "…" if len(content) > end + 30 else ""
    return f"{before}{content[start:at]}«{content[at:end]}»{content[end : end + 30]}{after}"
