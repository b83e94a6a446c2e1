"""The tree of a chat: walking its branches, forking it into a chat of its own, deleting from it and undoing that."""

from __future__ import annotations

from typing import Any

from assistant.storage.base import Base, now
from assistant.storage.rows import Removed

# The columns a copy of a message takes along; its place in the tree and its process are its own.
COPIED = (
    "role, content, status, model, tokens, tokens_per_second, seconds_to_first_token, seed, created, finish, dropped, "
    "context_used"
)


BESIDE = ("citations", "feedback")  # what is known of a message and deleted with it
CITED = "place, library, path, heading, page, text"  # what a reply was given of documents


class Branches(Base):
    """Statements that move in the tree and change it."""

    def choose(self, message: int) -> int | None:
        """Put `message` on the chat's way, and below it what was added last. Returns the chat; None: it is gone."""
        with self._writing():
            row = self._row(message)
            if row is None:
                return None
            self._end(row["chat"], self._newest_leaf(message))
        return int(row["chat"])

    def step(self, message: int, by: int) -> int | None:
        """Choose the sibling `by` places further. Returns it, or None where there is none on that side."""
        row = self._row(message)
        if row is None:
            return None
        family = self._family(row["chat"], row["parent"])
        place = family.index(message) + by
        if not 0 <= place < len(family):
            return None
        self.choose(family[place])
        return family[place]

    def fork(self, message: int, title: str) -> int | None:
        """A new chat with copies of everything from the first message to `message`. Returns it."""
        with self._writing():
            execute = self._db.conn.execute
            row = self._row(message)
            if row is None:
                return None
            new = execute(
                "INSERT INTO chats (title, model, system, params, created, updated) "
                "SELECT ?, model, system, params, ?, ? FROM chats WHERE id = ?",
                (title, now(), now(), row["chat"]),
            ).lastrowid
            parent = None
            for old in self._path(message):
                parent = execute(
                    f"INSERT INTO messages (chat, parent, {COPIED}) SELECT ?, ?, {COPIED} FROM messages WHERE id = ?",
                    (new, parent, old),
                ).lastrowid
                execute(
                    f"INSERT INTO citations (message, {CITED}) SELECT ?, {CITED} FROM citations WHERE message = ?",
                    (parent, old),
                )
            # A reply that is still being made goes on in its own chat; the copy has what there is of it.
            execute("UPDATE messages SET status = 'stopped' WHERE chat = ? AND status = 'streaming'", (new,))
            execute("UPDATE chats SET leaf = ? WHERE id = ?", (parent, new))
        return new

    def remove_branch(self, message: int) -> Removed | None:
        """Delete `message` and everything below it. The chat then ends at a sibling's branch, or at the parent."""
        with self._writing():
            row = self._row(message)
            if row is None:
                return None
            below = self._below(message)
            rows: Any = tuple(map(self._row, below))
            removed = Removed(row["chat"], self._leaf_of(row["chat"]), rows, beside=self._beside(below))
            self._db.conn.execute("DELETE FROM messages WHERE id = ?", (message,))  # children follow by cascade
            family = self._family(row["chat"], row["parent"])
            nearest = max((m for m in family if m < message), default=family[0] if family else None)
            if removed.leaf in {r["id"] for r in removed.rows}:
                self._end(row["chat"], row["parent"] if nearest is None else self._newest_leaf(nearest))
        self._scrub()
        return removed

    def remove_one(self, message: int) -> Removed | None:
        """Delete only `message`; what is below it moves up to its parent."""
        with self._writing():
            row = self._row(message)
            if row is None:
                return None
            children = tuple(self._family(row["chat"], message))
            beside = self._beside([message])
            removed = Removed(row["chat"], self._leaf_of(row["chat"]), (row,), children, beside)
            execute = self._db.conn.execute
            execute("UPDATE messages SET parent = ? WHERE parent = ?", (row["parent"], message))
            execute("DELETE FROM messages WHERE id = ?", (message,))
            if removed.leaf == message:
                self._end(row["chat"], row["parent"])
        self._scrub()
        return removed

    def restore(self, removed: Removed) -> bool:
        """Undo a deletion. False where the chat or the parent is gone meanwhile."""
        with self._writing():
            execute = self._db.conn.execute
            parent = removed.rows[0]["parent"]
            if not execute("SELECT 1 FROM chats WHERE id = ?", (removed.chat,)).fetchone() or (
                parent is not None and self._row(parent) is None
            ):
                return False
            for table, row in (*(("messages", row) for row in removed.rows), *removed.beside):
                marks = ", ".join("?" * len(row))
                execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
            for child in removed.moved:
                execute("UPDATE messages SET parent = ? WHERE id = ?", (removed.rows[0]["id"], child))
            self._end(removed.chat, removed.leaf)
        return True

    def _row(self, message: int) -> dict[str, Any] | None:
        rows = self._all("SELECT * FROM messages WHERE id = ?", message)
        return dict(rows[0]) if rows else None

    def _beside(self, messages: list[int]) -> tuple[tuple[str, dict[str, Any]], ...]:
        """The rows of other tables that go with these messages."""
        return tuple(
            (table, dict(row))
            for table in BESIDE
            for message in messages
            for row in self._all(f"SELECT * FROM {table} WHERE message = ?", message)
        )

    def _leaf_of(self, chat: int) -> int | None:
        return self._all("SELECT leaf FROM chats WHERE id = ?", chat)[0]["leaf"]

    def _end(self, chat: int, leaf: int | None) -> None:
        self._db.conn.execute("UPDATE chats SET leaf = ? WHERE id = ?", (leaf, chat))

    def _family(self, chat: int, parent: int | None) -> list[int]:
        rows = self._all("SELECT id FROM messages WHERE chat = ? AND parent IS ? ORDER BY id", chat, parent)
        return [row["id"] for row in rows]

    def _newest_leaf(self, message: int) -> int:
        rows = self._all(
            """WITH RECURSIVE way(id) AS (
                VALUES (?) UNION ALL
                SELECT (SELECT max(m.id) FROM messages m WHERE m.parent = way.id) FROM way WHERE way.id IS NOT NULL
            ) SELECT id FROM way WHERE id IS NOT NULL""",
            message,
        )
        return int(rows[-1]["id"])

    def _below(self, message: int) -> list[int]:
        """`message` and its descendants, parents before children."""
        rows = self._all(
            """WITH RECURSIVE below(id, depth) AS (
                VALUES (?, 0) UNION ALL
                SELECT m.id, below.depth + 1 FROM messages m JOIN below ON m.parent = below.id
            ) SELECT id FROM below ORDER BY depth, id""",
            message,
        )
        return [row["id"] for row in rows]

    def _path(self, message: int) -> list[int]:
        rows = self._all(
            """WITH RECURSIVE path(id, depth) AS (
                VALUES (?, 0) UNION ALL
                SELECT m.parent, path.depth + 1 FROM messages m JOIN path ON m.id = path.id WHERE m.parent IS NOT NULL
            ) SELECT id FROM path ORDER BY depth DESC""",
            message,
        )
        return [row["id"] for row in rows]
