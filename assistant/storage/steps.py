"""The database's shape, as named steps in order. A step that has been released is never changed; new ones follow it.

Which of them are still to be taken, and taking them, is in `database.py` and `migrations.py`.
"""

from __future__ import annotations

import sqlite3


def m001_chats_and_messages(connection: sqlite3.Connection) -> None:
    """Chats, their messages as a tree, the words of messages for searching, and settings."""
    for statement in (
        """CREATE TABLE chats (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            model TEXT NOT NULL,
            system TEXT NOT NULL DEFAULT '',
            params TEXT NOT NULL DEFAULT '{}',
            draft TEXT NOT NULL DEFAULT '',
            leaf INTEGER,
            created TEXT NOT NULL,
            updated TEXT NOT NULL,
            archived INTEGER NOT NULL DEFAULT 0
        )""",
        """CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
            parent INTEGER REFERENCES messages(id) ON DELETE CASCADE,
            role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
            content TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('complete', 'streaming', 'stopped', 'failed')),
            owner INTEGER,
            model TEXT,
            tokens INTEGER,
            tokens_per_second REAL,
            seconds_to_first_token REAL,
            seed INTEGER,
            created TEXT NOT NULL
        )""",
        "CREATE INDEX messages_chat ON messages(chat)",
        "CREATE INDEX messages_parent ON messages(parent)",
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE VIRTUAL TABLE messages_fts USING fts5(content, content='messages', content_rowid='id')",
        """CREATE TRIGGER messages_ai AFTER INSERT ON messages BEGIN
            INSERT INTO messages_fts(rowid, content) VALUES (new.id, new.content);
        END""",
        """CREATE TRIGGER messages_ad AFTER DELETE ON messages BEGIN
            INSERT INTO messages_fts(messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
        END""",
        """CREATE TRIGGER messages_au AFTER UPDATE OF content ON messages BEGIN
            INSERT INTO messages_fts(messages_fts, rowid, content) VALUES ('delete', old.id, old.content);
            INSERT INTO messages_fts(rowid, content) VALUES (new.id, new.content);
        END""",
    ):
        connection.execute(statement)


def m002_branches_pins_windows_personas(connection: sqlite3.Connection) -> None:
    """Why a reply ended and what it could not see; signs of life between windows; pins; personas."""
    for statement in (
        "ALTER TABLE chats ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE chats ADD COLUMN named INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE messages ADD COLUMN finish TEXT",
        "ALTER TABLE messages ADD COLUMN dropped INTEGER",
        "ALTER TABLE messages ADD COLUMN context_used INTEGER",
        "ALTER TABLE messages ADD COLUMN heartbeat TEXT",
        "CREATE INDEX messages_making ON messages(chat) WHERE status = 'streaming'",
        "CREATE INDEX chats_order ON chats(archived, pinned DESC, updated DESC, id DESC)",
        "CREATE TABLE personas (name TEXT PRIMARY KEY, system TEXT NOT NULL)",
    ):
        connection.execute(statement)


def m003_verdicts(connection: sqlite3.Connection) -> None:
    """Verdicts on mails and other texts, what a person said of them, and their words for searching."""
    for statement in (
        """CREATE TABLE verdicts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            task TEXT NOT NULL,
            name TEXT NOT NULL,
            subject TEXT NOT NULL,
            sender TEXT NOT NULL,
            shown TEXT NOT NULL,
            text TEXT NOT NULL,
            normaliser INTEGER NOT NULL,
            raw BLOB,
            answer TEXT NOT NULL DEFAULT '',
            probability REAL NOT NULL DEFAULT 0,
            details TEXT NOT NULL DEFAULT '{}',
            label TEXT NOT NULL DEFAULT '',
            created TEXT NOT NULL
        )""",
        "CREATE INDEX verdicts_labelled ON verdicts(task) WHERE label != ''",
        """CREATE VIRTUAL TABLE verdicts_fts USING fts5(
            name, subject, sender, shown, content='verdicts', content_rowid='id'
        )""",
        """CREATE TRIGGER verdicts_ai AFTER INSERT ON verdicts BEGIN
            INSERT INTO verdicts_fts(rowid, name, subject, sender, shown)
            VALUES (new.id, new.name, new.subject, new.sender, new.shown);
        END""",
        """CREATE TRIGGER verdicts_ad AFTER DELETE ON verdicts BEGIN
            INSERT INTO verdicts_fts(verdicts_fts, rowid, name, subject, sender, shown)
            VALUES ('delete', old.id, old.name, old.subject, old.sender, old.shown);
        END""",
    ):
        connection.execute(statement)


def m004_owner_started(connection: sqlite3.Connection) -> None:
    """When the process that makes a reply began: its number alone may belong to another one later."""
    connection.execute("ALTER TABLE messages ADD COLUMN owner_started TEXT")


def m005_feedback(connection: sqlite3.Connection) -> None:
    """What a person said of replies: good or bad, and what would have been better."""
    connection.execute(
        """CREATE TABLE feedback (
            message INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
            mark INTEGER NOT NULL CHECK (mark IN (-1, 0, 1)),
            better TEXT NOT NULL DEFAULT '',
            created TEXT NOT NULL
        )"""
    )


def m006_chats_have_names_everywhere(connection: sqlite3.Connection) -> None:
    """A chat's own unique name, by which an import knows a chat that is here already."""
    for statement in (
        "ALTER TABLE chats ADD COLUMN uid TEXT",
        "UPDATE chats SET uid = lower(hex(randomblob(16)))",
        "CREATE UNIQUE INDEX chats_uid ON chats(uid)",
        """CREATE TRIGGER chats_uid_ai AFTER INSERT ON chats WHEN new.uid IS NULL BEGIN
            UPDATE chats SET uid = lower(hex(randomblob(16))) WHERE id = new.id;
        END""",
    ):
        connection.execute(statement)


def m007_libraries(connection: sqlite3.Connection) -> None:
    """Documents: where they lie, their passages, the words of these for searching, and what replies were given."""
    for statement in (
        "CREATE TABLE libraries (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL)",
        """CREATE TABLE library_sources (
            library INTEGER NOT NULL REFERENCES libraries(id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            PRIMARY KEY (library, path)
        )""",
        """CREATE TABLE documents (
            id INTEGER PRIMARY KEY,
            library INTEGER NOT NULL REFERENCES libraries(id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            size INTEGER NOT NULL,
            modified INTEGER NOT NULL,
            passages INTEGER NOT NULL,
            problem TEXT NOT NULL,
            read TEXT NOT NULL,
            UNIQUE (library, path)
        )""",
        """CREATE TABLE passages (
            id INTEGER PRIMARY KEY,
            document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            place INTEGER NOT NULL,
            heading TEXT NOT NULL,
            page INTEGER,
            text TEXT NOT NULL,
            words TEXT NOT NULL
        )""",
        "CREATE INDEX passages_document ON passages(document)",
        """CREATE VIRTUAL TABLE passages_fts USING fts5(
            words, content='passages', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
        )""",
        """CREATE TRIGGER passages_ai AFTER INSERT ON passages BEGIN
            INSERT INTO passages_fts(rowid, words) VALUES (new.id, new.words);
        END""",
        """CREATE TRIGGER passages_ad AFTER DELETE ON passages BEGIN
            INSERT INTO passages_fts(passages_fts, rowid, words) VALUES ('delete', old.id, old.words);
        END""",
        "ALTER TABLE chats ADD COLUMN library TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE citations (
            message INTEGER NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
            place INTEGER NOT NULL,
            library TEXT NOT NULL,
            path TEXT NOT NULL,
            heading TEXT NOT NULL,
            page INTEGER,
            text TEXT NOT NULL,
            PRIMARY KEY (message, place)
        )""",
        "CREATE INDEX citations_library ON citations(library)",
    ):
        connection.execute(statement)


def m008_pieces_of_words(connection: sqlite3.Connection) -> None:
    """Every three letters of messages, to find what the index of words cannot: parts of words, pieces of Chinese."""
    if sqlite3.sqlite_version_info < (3, 34):  # which cannot do that; there, all messages are read through
        return
    for statement in (
        """CREATE VIRTUAL TABLE messages_pieces USING fts5(
            content, content='messages', content_rowid='id', tokenize='trigram', detail='none'
        )""",
        """CREATE TRIGGER messages_pieces_ai AFTER INSERT ON messages BEGIN
            INSERT INTO messages_pieces(rowid, content) VALUES (new.id, new.content);
        END""",
        """CREATE TRIGGER messages_pieces_ad AFTER DELETE ON messages BEGIN
            INSERT INTO messages_pieces(messages_pieces, rowid, content) VALUES ('delete', old.id, old.content);
        END""",
        """CREATE TRIGGER messages_pieces_au AFTER UPDATE OF content ON messages BEGIN
            INSERT INTO messages_pieces(messages_pieces, rowid, content) VALUES ('delete', old.id, old.content);
            INSERT INTO messages_pieces(rowid, content) VALUES (new.id, new.content);
        END""",
        "INSERT INTO messages_pieces(messages_pieces) VALUES ('rebuild')",
    ):
        connection.execute(statement)


STEPS = (
    m001_chats_and_messages,
    m002_branches_pins_windows_personas,
    m003_verdicts,
    m004_owner_started,
    m005_feedback,
    m006_chats_have_names_everywhere,
    m007_libraries,
    m008_pieces_of_words,
)
