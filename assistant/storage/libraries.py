"""Libraries of documents: where they lie, what was read of them, finding passages. Reading is the package `library`.

A chat names its library, so that a chat which is never written can have one too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import LibraryError
from assistant.library.words import index_words, query
from assistant.storage.base import Base, now

if TYPE_CHECKING:
    from assistant.library.chunking import Passage

LEAST = 0.1  # of the best passage's score, that another must have


@dataclass(frozen=True)
class Library:
    name: str
    sources: tuple[str, ...]  # files and folders, as they were named
    documents: int  # that could be read
    passages: int
    problems: int  # documents that could not


@dataclass(frozen=True)
class Document:
    path: str
    passages: int
    problem: str  # why it could not be read, or ""


@dataclass(frozen=True)
class Source:
    """A passage as a reply was given it, or as it was found."""

    path: str
    heading: str
    page: int | None
    text: str


class Libraries(Base):
    """Statements on libraries, documents, passages and what replies were given of them."""

    def libraries(self) -> list[Library]:
        """All of them, by name."""
        rows = self._all(
            "SELECT l.name, count(CASE WHEN d.problem = '' THEN 1 END) AS documents, "
            "coalesce(sum(d.passages), 0) AS passages, count(CASE WHEN d.problem <> '' THEN 1 END) AS problems "
            "FROM libraries l LEFT JOIN documents d ON d.library = l.id GROUP BY l.id ORDER BY lower(l.name)"
        )
        return [Library(**row, sources=tuple(self.sources(row["name"]))) for row in map(dict, rows)]

    def sources(self, library: str) -> list[str]:
        rows = self._all(
            "SELECT s.path FROM library_sources s JOIN libraries l ON l.id = s.library WHERE l.name = ? ORDER BY path",
            library,
        )
        return [row["path"] for row in rows]

    def documents(self, library: str) -> list[Document]:
        """What was read, and what could not be, which comes first."""
        rows = self._all(
            "SELECT d.path, d.passages, d.problem FROM documents d JOIN libraries l ON l.id = d.library "
            "WHERE l.name = ? ORDER BY d.problem = '', d.path",
            library,
        )
        return [Document(**row) for row in map(dict, rows)]

    def stamps(self, library: str) -> dict[str, tuple[int, int]]:
        """Size and time of each document when it was read."""
        rows = self._all(
            "SELECT d.path, d.size, d.modified FROM documents d JOIN libraries l ON l.id = d.library WHERE l.name = ?",
            library,
        )
        return {row["path"]: (row["size"], row["modified"]) for row in rows}

    def add_source(self, library: str, path: str) -> None:
        """Let `library`, which is made if need be, have the file or folder at `path` too."""
        with self._writing():
            self._run("INSERT OR IGNORE INTO libraries (name, created) VALUES (?, ?)", library, now())
            self._run(
                "INSERT OR IGNORE INTO library_sources (library, path) SELECT id, ? FROM libraries WHERE name = ?",
                path,
                library,
            )

    def remove_source(self, library: str, path: str) -> None:
        """Take a file or folder out, and for good all that was read of what is in it."""
        with self._writing():
            self._run(f"DELETE FROM library_sources WHERE path = ? AND library = ({_ID})", path, library)
        self.forget_documents(library, [p for p in self.stamps(library) if p == path or p.startswith(f"{path}/")], True)

    def remove_library(self, library: str) -> None:
        """For good: all that was read, and what replies were given of it, off the disk and the index."""
        with self._writing():
            self._run("DELETE FROM libraries WHERE name = ?", library)
            self._run("DELETE FROM citations WHERE library = ?", library)
            self._run("UPDATE chats SET library = '' WHERE library = ?", library)
        self._scrub()

    def forget_documents(self, library: str, paths: Iterable[str], citations: bool = False) -> None:
        """Take documents out of the index; with `citations`, also what replies were given of them."""
        paths = list(paths)
        with self._writing():
            for path in paths:
                self._run(f"DELETE FROM documents WHERE path = ? AND library = ({_ID})", path, library)
                if citations:
                    self._run("DELETE FROM citations WHERE library = ? AND path = ?", library, path)
        if paths:
            self._scrub()

    def put_document(
        self, library: str, path: str, stamp: tuple[int, int], found: Iterable[Passage], problem: str = ""
    ) -> None:
        """In one transaction: what was read of a document, in the place of what was read of it before.

        Raises:
            LibraryError: the library has been removed meanwhile.
        """
        found = list(found)
        with self._writing():
            rows = self._all("SELECT id FROM libraries WHERE name = ?", library)
            if not rows:
                raise LibraryError(f"The library {library} has been removed.")
            execute = self._db.conn.execute
            execute("DELETE FROM documents WHERE library = ? AND path = ?", (rows[0]["id"], path))
            document = execute(
                "INSERT INTO documents (library, path, size, modified, passages, problem, read) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (rows[0]["id"], path, *stamp, len(found), problem, now()),
            ).lastrowid
            self._db.conn.executemany(
                "INSERT INTO passages (document, place, heading, page, text, words) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (document, place, one.heading, one.page, one.text, index_words(f"{one.heading}\n{one.text}"))
                    for place, one in enumerate(found)
                ],
            )

    def find(self, library: str, question: str, limit: int = 12) -> list[Source]:
        """The passages with the rarest words of `question`, best first (BM25).

        What shares only common words with it is left out: its score is next to nothing beside the best.
        """
        words = query(question)
        if not words:
            return []
        rows = self._all(
            "SELECT d.path, p.heading, p.page, p.text, rank FROM passages_fts "
            "JOIN passages p ON p.id = passages_fts.rowid "
            "JOIN documents d ON d.id = p.document JOIN libraries l ON l.id = d.library "
            "WHERE passages_fts MATCH ? AND l.name = ? ORDER BY rank LIMIT ?",
            words,
            library,
            limit,
        )
        found = [dict(row) for row in rows]
        least = LEAST * max((-row["rank"] for row in found), default=0.0)
        return [Source(row["path"], row["heading"], row["page"], row["text"]) for row in found if -row["rank"] >= least]

    def settle(self) -> None:
        """After documents were read anew: what they said before is gone from the file too."""
        self._scrub()

    # What replies were given

    def library_of(self, chat: int) -> str:
        """The library the chat answers from; "" for none."""
        rows = self._all("SELECT library FROM chats WHERE id = ?", chat)
        return str(rows[0]["library"]) if rows else ""

    def give_library(self, chat: int, library: str) -> None:
        self._run("UPDATE chats SET library = ? WHERE id = ?", library, chat)

    def cite(self, message: int, library: str, sources: Iterable[Source]) -> None:
        """Keep what the reply `message` is given, in the place of what was kept before."""
        with self._writing():
            self._cite(message, library, sources)

    def _cite(self, message: int, library: str, sources: Iterable[Source]) -> None:
        self._run("DELETE FROM citations WHERE message = ?", message)
        for place, one in enumerate(sources, 1):
            self._run(
                "INSERT INTO citations (message, place, library, path, heading, page, text) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(message, place, library, one.path, one.heading, one.page, one.text),
            )

    def citations(self, chat: int) -> dict[int, list[Source]]:
        """What each reply of a chat was given, by message."""
        rows = self._all(
            "SELECT c.message, c.path, c.heading, c.page, c.text FROM citations c JOIN messages m ON m.id = c.message "
            "WHERE m.chat = ? ORDER BY c.message, c.place",
            chat,
        )
        cited: dict[int, list[Source]] = {}
        for row in rows:
            cited.setdefault(row["message"], []).append(Source(row["path"], row["heading"], row["page"], row["text"]))
        return cited


_ID = "SELECT id FROM libraries WHERE name = ?"
