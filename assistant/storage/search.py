"""Finding words in all messages: the index of words first, the text as it stands where that knows nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from assistant.storage.base import Base
from assistant.storage.database import indexes
from assistant.storage.rows import FOUND, Hit
from assistant.text import printable

SPECIAL = re.compile(r"[\\%_]")  # what LIKE reads as something else
BEGUN = re.compile(r"\w\w$")  # a word that may go on; of one letter alone, all words that begin with it would be found
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
                SELECT rowid, rank AS worth, snippet(messages_fts, 0, ?, ?, '…', 12) AS snippet FROM messages_fts
                WHERE messages_fts MATCH ? ORDER BY rowid DESC LIMIT ?
            ) found JOIN messages m ON m.id = found.rowid JOIN chats c ON c.id = m.chat ORDER BY found.worth LIMIT ?""",
            *FOUND,
            self._db.utils.quote_fts(text) + ("*" if BEGUN.search(text) else ""),
            RANKED,
            limit,
        )
        if words:
            return [_hit(row) for row in words]
        rows = map(dict, self._literal(text, limit))
        return [_hit({**row, "snippet": _around(row["snippet"], text)}) for row in rows]

    def _literal(self, text: str, limit: int) -> list[sqlite3.Row]:
        """The newest messages in which `text` stands as it is, by its pieces of three letters where it has any."""
        pattern = "%" + SPECIAL.sub(r"\\\g<0>", text) + "%"
        columns = "m.chat, m.id AS message, c.title, m.content AS snippet"
        if len(max(SPECIAL.split(text), key=len)) < 3 or not self._has_pieces:
            return self._all(
                f"SELECT {columns} FROM messages m JOIN chats c ON c.id = m.chat "
                "WHERE m.content LIKE ? ESCAPE '\\' ORDER BY m.id DESC LIMIT ?",
                pattern,
                limit,
            )
        # The index knows no ESCAPE: for a special sign it gets any sign, and what it finds is looked at again.
        return self._all(
            f"SELECT {columns} FROM messages_pieces p JOIN messages m ON m.id = p.rowid JOIN chats c ON c.id = m.chat "
            "WHERE p.content LIKE ? AND m.content LIKE ? ESCAPE '\\' ORDER BY p.rowid DESC LIMIT ?",
            "%" + SPECIAL.sub("_", text) + "%",
            pattern,
            limit,
        )

    @cached_property
    def _has_pieces(self) -> bool:
        return "messages_pieces" in indexes(self._db.conn)


def _hit(row: Mapping[str, Any] | sqlite3.Row) -> Hit:
    return Hit(row["chat"], row["message"], printable(row["title"]), printable(row["snippet"]))


def _around(content: str, text: str) -> str:
    at = max(content.lower().find(text.lower()), 0)
    start, end = max(at - 30, 0), at + len(text)
    before, after = "…" if start else "", "…" if len(content) > end + 30 else ""
    return f"{before}{content[start:at]}{FOUND[0]}{content[at:end]}{FOUND[1]}{content[end : end + 30]}{after}"
