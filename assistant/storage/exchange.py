"""Chats that leave and arrive whole: read as trees, and taken in once, however often they are imported.

The files they travel in are the package `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from assistant.storage.libraries import Libraries, Source
from assistant.storage.rest import Rest

if TYPE_CHECKING:
    from assistant.exchange.tree import ChatTree

FLAGS = ("archived", "pinned", "named")
CHAT = ("title", "model", "system", "params", "draft", "created", "updated", "library", *FLAGS)
Step = Callable[[int], None]  # told how many chats are done; may raise to call the whole off


@dataclass
class Taken:
    """What an import did."""

    new: int = 0  # chats
    grown: int = 0  # chats that were here and got messages
    known: int = 0  # chats of which everything was here
    messages: int = 0


class Exchange(Libraries, Rest):
    """Opened by itself it is a second connection, for a thread of its own."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever other windows write."""
        self._run("BEGIN")
        try:
            yield
        finally:
            self._run("ROLLBACK")

    def numbers(self) -> list[int]:
        """All chats, the oldest first."""
        return [row["id"] for row in self._all("SELECT id FROM chats ORDER BY id")]

    def whole(self, chat: int) -> ChatTree | None:
        """A chat with all its branches; None where it is gone."""
        from assistant.exchange.tree import COLUMNS, ChatTree, Node  # not needed to chat

        chats = self._all("SELECT * FROM chats WHERE id = ?", chat)
        if not chats:
            return None
        rows = self._all("SELECT * FROM messages WHERE chat = ? ORDER BY id", chat)
        place = {row["id"]: index for index, row in enumerate(rows)}
        said = {
            row["message"]: {name: row[name] for name in ("mark", "better", "created")}
            for row in self._all("SELECT f.* FROM feedback f JOIN messages m ON m.id = message WHERE chat = ?", chat)
        }
        cited = {message: tuple(map(asdict, sources)) for message, sources in self.citations(chat).items()}
        nodes = [
            Node(
                place.get(row["parent"]),
                **{name: row[name] for name in COLUMNS},
                sources=cited.get(row["id"], ()),
                feedback=said.get(row["id"]),
            )
            for row in rows
        ]
        values = {name: chats[0][name] for name in CHAT}
        values |= {name: bool(values[name]) for name in FLAGS}
        return ChatTree(uid=chats[0]["uid"], **values, nodes=nodes, leaf=place.get(chats[0]["leaf"]))

    def take_in(
        self, trees: Iterable[ChatTree], step: Step | None = None, rest: Mapping[str, Any] | None = None
    ) -> Taken:
        """Store all of `trees` in one transaction, or nothing; of the `rest`, what is not set here yet.

        A chat that is here already gets the messages it lacks; a message is the same when it answers the same one
        with the same words at the same time. What a person has set here (title, pin, instruction) stays.
        """
        taken = Taken()
        with self._writing():
            self.take_rest(rest or {})
            for done, tree in enumerate(trees, 1):
                self._take(tree, taken)
                if step is not None:
                    step(done)
        return taken

    def _take(self, tree: ChatTree, taken: Taken) -> None:
        if tree.library and not self._all("SELECT 1 FROM libraries WHERE name = ?", tree.library):
            tree = replace(tree, library="")
        rows = self._all("SELECT id, leaf, updated FROM chats WHERE uid = ?", tree.uid)
        if rows:
            chat, before = rows[0]["id"], rows[0]
        else:
            names = ("uid", *CHAT)
            values = [getattr(tree, name) for name in names]
            cursor = self._db.conn.execute(
                f"INSERT INTO chats ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values
            )
            assert cursor.lastrowid is not None
            chat, before = cursor.lastrowid, None
        ids, added = self._nodes(chat, tree, known=bool(rows))
        taken.messages += added
        if before is None or (added and tree.updated > before["updated"]) or before["leaf"] is None:
            leaf = None if tree.leaf is None else ids[tree.leaf]
            updated = max(tree.updated, before["updated"]) if before else tree.updated
            self._run("UPDATE chats SET leaf = ?, updated = ? WHERE id = ?", leaf, updated, chat)
        taken.new += before is None
        taken.grown += before is not None and added > 0
        taken.known += before is not None and added == 0

    def _nodes(self, chat: int, tree: ChatTree, known: bool) -> tuple[list[int], int]:
        """The ids of the messages of `tree` in `chat`, those it lacks inserted, and how many that were."""
        from assistant.exchange.tree import COLUMNS

        here: dict[tuple[int | None, str, str, str], list[int]] = {}
        if known:
            for row in self._all("SELECT id, parent, role, content, created FROM messages WHERE chat = ?", chat):
                here.setdefault((row["parent"], row["role"], row["content"], row["created"]), []).append(row["id"])
        ids: list[int] = []
        added = 0
        columns = f"chat, parent, {', '.join(COLUMNS)}"
        statement = f"INSERT INTO messages ({columns}) VALUES (?, ?, {', '.join('?' * len(COLUMNS))})"
        for node in tree.nodes:
            parent = None if node.parent is None else ids[node.parent]
            if same := here.get((parent, node.role, node.content, node.created)):
                ids.append(same.pop(0))  # of twins, the older first, in the order they left in
                continue
            cursor = self._db.conn.execute(statement, (chat, parent, *(getattr(node, name) for name in COLUMNS)))
            assert cursor.lastrowid is not None
            ids.append(cursor.lastrowid)
            added += 1
            if node.feedback:
                values = (cursor.lastrowid, *(node.feedback[name] for name in ("mark", "better", "created")))
                self._run("INSERT INTO feedback (message, mark, better, created) VALUES (?, ?, ?, ?)", *values)
            if node.sources:
                self._cite(cursor.lastrowid, tree.library, [Source(**source) for source in node.sources])
        return ids, added
