"""Marks on replies, good or bad, with a better answer where a person gave one; and what of it makes preference pairs.

Marks lie beside the messages and go with them. What is learned from them is `learning/feedback.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from assistant.storage.base import Base, now

GOOD, BAD = 1, -1


@dataclass(frozen=True)
class Marked:
    """A reply that a person has said something about, by a mark or by changing its words."""

    message: int
    chat: int
    parent: int | None
    content: str
    mark: int  # GOOD, BAD or 0
    better: str  # what it should have said; ""
    edited: bool  # a person wrote it, in place of a sibling


class FeedbackStore(Base):
    """Statements on the table `feedback`."""

    def mark(self, message: int, mark: int, better: str | None = None) -> None:
        """Mark a reply GOOD or BAD, or take the mark away (0); `better` None leaves a better answer as it was."""
        with self._writing():
            if not mark and not better:
                self._db.conn.execute("DELETE FROM feedback WHERE message = ?", (message,))
                return
            self._db.conn.execute(
                "INSERT INTO feedback (message, mark, better, created) VALUES (?, ?, ?, ?) ON CONFLICT(message) "
                "DO UPDATE SET mark = excluded.mark, better = CASE WHEN ? THEN excluded.better ELSE better END",
                (message, mark, better or "", now(), better is not None),
            )

    def mark_of(self, message: int) -> tuple[int, str]:
        """(GOOD, BAD or 0; the better answer or "")."""
        rows = self._all("SELECT mark, better FROM feedback WHERE message = ?", message)
        return (int(rows[0]["mark"]), str(rows[0]["better"])) if rows else (0, "")

    def marks(self, chat: int) -> dict[int, int]:
        """message → its mark, of a chat."""
        rows = self._all(
            "SELECT message, mark FROM feedback JOIN messages ON messages.id = message WHERE chat = ?", chat
        )
        return {row["message"]: row["mark"] for row in rows}

    def marked(self) -> list[Marked]:
        """Every finished reply that is marked, was written by a person, or has a sibling that is one of these."""
        rows = self._all(
            """WITH told AS (
                SELECT id, parent, chat FROM messages LEFT JOIN feedback ON message = id
                WHERE role = 'assistant' AND (mark IS NOT NULL OR model = '')
            ) SELECT m.id, m.chat, m.parent, m.content, coalesce(f.mark, 0) AS mark, coalesce(f.better, '') AS better,
                m.model = '' AS edited
            FROM messages m LEFT JOIN feedback f ON f.message = m.id
            WHERE m.role = 'assistant' AND m.content != '' AND m.status != 'streaming'
                AND EXISTS (SELECT 1 FROM told WHERE told.chat = m.chat AND told.parent IS m.parent)
            ORDER BY m.id"""
        )
        return [
            Marked(r["id"], r["chat"], r["parent"], r["content"], r["mark"], r["better"], bool(r["edited"]))
            for r in rows
        ]

    def marks_count(self) -> int:
        return int(self._all("SELECT count(*) AS n FROM feedback")[0]["n"])

    def way_to(self, message: int | None) -> list[dict[str, str]]:
        """The messages from the first to `message`, as a model reads them."""
        rows = self._all(
            """WITH RECURSIVE path(id, parent, role, content, depth) AS (
                SELECT id, parent, role, content, 0 FROM messages WHERE id = ?
                UNION ALL SELECT m.id, m.parent, m.role, m.content, path.depth + 1
                FROM messages m JOIN path ON m.id = path.parent
            ) SELECT role, content FROM path ORDER BY depth DESC""",
            message,
        )
        return [{"role": row["role"], "content": row["content"]} for row in rows]
