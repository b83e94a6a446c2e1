"""The store: what is promised about chats on disk, against the real file."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlite_utils

from assistant.errors import DamagedError, DiskFullError, LockedError, NewerSchemaError, ReadOnlyError, StorageError
from assistant.processes import started
from assistant.storage import database
from assistant.storage.migrations import migrations
from assistant.storage.rows import FOUND
from assistant.storage.store import Store
from assistant.unsaved import Unsaved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


@pytest.fixture
def store(path: Path) -> Store:
    return Store(path)


def turn(store: Store, chat: int | None, question: str, answer: str) -> int:
    chat, _, reply = store.begin_turn(chat, question, question[:20], "m")
    store.finish(reply, answer, "complete", tokens=3)
    return chat


def test_a_chat_is_there_again_after_reopening(path: Path) -> None:
    store = Store(path)
    chat = turn(store, None, "What is up?", "Not *much*. 👍")
    turn(store, chat, "And now?", "Still nothing.")
    store.close()
    again = Store(path)
    assert [m.content for m in again.history(chat)] == ["What is up?", "Not *much*. 👍", "And now?", "Still nothing."]
    assert [c.title for c in again.chats()] == ["What is up?"]


def test_the_file_is_private(store: Store, path: Path) -> None:
    turn(store, None, "a", "b")
    for file in path.parent.glob("chats.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_pragmas(store: Store) -> None:
    values = {
        p: store._db.conn.execute(f"PRAGMA {p}").fetchone()[0]
        for p in ("journal_mode", "foreign_keys", "secure_delete")
    }
    assert values == {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1}


def test_a_question_and_its_reply_are_written_together_or_not_at_all(store: Store, monkeypatch) -> None:
    insert, calls = store._insert, []

    def second_fails(*args):
        calls.append(args)
        if len(calls) == 2:
            raise sqlite3.OperationalError("database or disk is full")
        return insert(*args)

    monkeypatch.setattr(store, "_insert", second_fails)
    with pytest.raises(StorageError, match="disk is full"):
        store.begin_turn(None, "hello", "hello", "m")
    assert store.chats() == []


def test_a_sibling_takes_the_old_replys_place_and_the_old_one_stays(store: Store) -> None:
    chat = turn(store, None, "q", "first")
    reply = store.begin_again(chat, "m")
    store.finish(reply, "second", "complete")
    assert [m.content for m in store.history(chat)] == ["q", "second"]
    assert store._all("SELECT count(*) AS n FROM messages")[0]["n"] == 3


@pytest.mark.parametrize("text", ["don't", '"quoted', "AND OR NOT", "col:umn", "(", "*", "naïve", "-x", "100%"])
def test_any_text_can_be_searched_for(store: Store, text: str) -> None:
    turn(store, None, f"before {text} after", "reply")
    assert [hit.title for hit in store.search(text)], text


def test_search_finds_words_pieces_of_cjk_and_shows_the_place(store: Store) -> None:
    turn(store, None, "I don't like rain in the spring", "ok")
    turn(store, None, "我们今天去北京看长城", "好")
    assert "don't".join(FOUND) in store.search("don't")[0].snippet
    assert "北京".join(FOUND) in store.search("北京")[0].snippet
    assert store.search("sprin")[0].title.startswith("I don't")
    assert store.search("  ") == []
    assert store.search("nowhere") == []
    assert "prin".join(FOUND) in store.search("prin")[0].snippet


@pytest.mark.parametrize("pieces", [True, False], ids=["by three letters", "by reading all"])
def test_signs_that_sqlite_reads_otherwise_are_found_as_they_stand(store: Store, pieces: bool, monkeypatch) -> None:
    monkeypatch.setattr(Store, "_has_pieces", pieces)
    for text in ("made 100% sure", "made 1005 sure", "a snake_case_name", "a snakeXcaseXname", "C:\\new\\table"):
        turn(store, None, text, "ok")
    found = {text: [hit.title for hit in store.search(text)] for text in ("00%", "ke_ca", "\\new\\ta", "ADE 100%")}
    assert found == {
        "00%": ["made 100% sure"],
        "ke_ca": ["a snake_case_name"],
        "\\new\\ta": ["C:\\new\\table"],
        "ADE 100%": ["made 100% sure"],
    }


def test_a_word_of_one_letter_behind_an_apostrophe_stands_for_itself(store: Store) -> None:
    turn(store, None, "don't", "ok")
    turn(store, None, "don talk", "ok")
    assert [hit.title for hit in store.search("don't")] == ["don't"]


def test_deleted_text_is_gone_from_the_index_and_from_the_files(store: Store, path: Path) -> None:
    chat = turn(store, None, "the zanzibarsecret word", "yes, zanzibarsecret")
    other = turn(store, None, "something else", "ok")
    store.delete(chat)
    assert store.search("zanzibarsecret") == []
    assert [c.id for c in store.chats()] == [other]
    store.close()
    for file in path.parent.glob("chats.db*"):
        assert b"zanzibarsecret" not in file.read_bytes(), file


def test_a_killed_process_leaves_its_partial_reply(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from assistant.storage.store import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "chat, _, reply = store.begin_turn(None, 'a question', 'a question', 'm')\n"
        "store.flush(reply, 'half an ans')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    store = Store(path)
    (chat,) = store.chats()
    question, reply = store.history(chat.id)
    assert (question.content, reply.content, reply.status) == ("a question", "half an ans", "stopped")


def test_a_second_instance_leaves_the_firsts_reply_alone_and_both_can_write(path: Path) -> None:
    first = Store(path)
    chat, _, reply = first.begin_turn(None, "q", "q", "m")
    code = (
        "from pathlib import Path; from assistant.storage.store import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "store.begin_turn(None, 'from the second', 'second', 'm')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert first.history(chat)[-1].status == "streaming"
    first.finish(reply, "done", "complete")
    assert {c.title for c in first.chats()} == {"q", "second"}


def _open_at_once(path: str) -> None:
    Store(Path(path)).close()


def test_many_first_starts_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open_at_once, args=(str(path),)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0] * 4
    assert turn(Store(path), None, "works", "yes") == 1


def _shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
    return [tuple(" ".join(str(cell).split()).replace("( ", "(").replace(" )", ")") for cell in row) for row in rows]


def test_a_new_database_is_what_sqlite_utils_would_have_made(path: Path) -> None:
    ours, other = Store(path)._db, sqlite_utils.Database(memory=True)
    migrations.apply(other)
    assert _shape(ours.conn) == _shape(other.conn)
    assert [step.name for step in migrations.applied(ours.utils)] == [step.name for step in migrations.applied(other)]
    assert migrations.pending(ours.utils) == []


def test_a_newer_schema_is_refused_and_untouched(path: Path) -> None:
    store = Store(path)
    store._db.utils["_sqlite_migrations"].insert(
        {"migration_set": "homespun", "name": "m999_future", "applied_at": "2030"}
    )
    store.close()
    before = path.read_bytes()
    with pytest.raises(NewerSchemaError, match=r"newer homespun.*m999_future"):
        Store(path)
    assert path.read_bytes() == before


def test_an_upgrade_makes_a_backup_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn(Store(path), None, "old chat", "old reply")

    def m002_test(db) -> None:
        db.conn.execute("ALTER TABLE chats ADD COLUMN extra TEXT")

    monkeypatch.setattr(migrations, "_migrations", list(migrations._migrations))
    monkeypatch.setattr(database, "NEWEST", "")
    migrations(name="m002_test")(m002_test)
    store = Store(path)
    (backup,) = path.parent.glob("*.before-*.db")
    assert sqlite3.connect(backup).execute("SELECT title FROM chats").fetchall() == [("old chat",)]
    assert "extra" in {c.name for c in store._db.utils["chats"].columns}


def test_a_failing_upgrade_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()

    def m002_bad(db) -> None:
        db.conn.execute("ALTER TABLE chats ADD COLUMN half TEXT")
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(migrations, "_migrations", list(migrations._migrations))
    monkeypatch.setattr(database, "NEWEST", "")
    migrations(name="m002_bad")(m002_bad)
    with pytest.raises(StorageError, match="disk is full"):
        Store(path)
    monkeypatch.undo()
    assert "half" not in {c.name for c in Store(path)._db.utils["chats"].columns}


def test_a_damaged_file_is_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"this is no database at all, but it is somebody's file" * 100)
    before = path.read_bytes()
    with pytest.raises(DamagedError, match="damaged"):
        Store(path)
    assert path.read_bytes() == before


def test_a_full_disk_is_a_sentence_and_loses_nothing(store: Store) -> None:
    chat = turn(store, None, "q", "a")
    pages = store._db.conn.execute("PRAGMA page_count").fetchone()[0]
    store._db.conn.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError, match="disk is full"):
        store.begin_turn(chat, "x" * 100_000, "x", "m")
    assert [m.content for m in store.history(chat)] == ["q", "a"]
    store._db.conn.execute("PRAGMA max_page_count = 100000")
    turn(store, chat, "q2", "a2")
    assert len(store.history(chat)) == 4


def test_a_locked_database_is_a_sentence(store: Store, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 50)
    other = Store(path)
    store._db.conn.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError, match="busy"):
        other.begin_turn(None, "q", "q", "m")


def test_a_read_only_file_is_a_sentence(path: Path) -> None:
    store = Store(path)
    store._db.conn.execute("PRAGMA query_only = ON")  # what a read-only mount does, for root too
    with pytest.raises(ReadOnlyError, match="read-only"):
        store.begin_turn(None, "q", "q", "m")


def test_a_second_connection_does_not_take_the_locks_of_the_first(store: Store, path: Path) -> None:
    """Closing any descriptor of a file drops a process's POSIX locks on it; another then deletes the log in use."""
    turn(store, None, "Before", "Yes.")
    Store(path).close()
    other = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT count(*) FROM chats').fetchall()"
    subprocess.run([sys.executable, "-c", other], check=True)
    turn(store, None, "After", "Yes.")
    assert {chat.title for chat in Store(path).chats()} == {"Before", "After"}


def test_drafts(store: Store) -> None:
    store.save_draft(None, "not begun")
    assert store.draft(None) == "not begun"
    chat = turn(store, None, "q", "a")
    assert store.draft(None) == ""
    store.save_draft(chat, "half a ques")
    assert store.draft(chat) == "half a ques"
    turn(store, chat, "half a question", "a")
    assert store.draft(chat) == ""


def test_a_copy_in_memory_reads_the_file_and_leaves_it(store: Store, path: Path) -> None:
    chat = turn(store, None, "q", "a")
    copy = Store(None, copy_of=path)
    turn(copy, chat, "q2", "a2")
    assert [m.content for m in copy.history(chat)] == ["q", "a", "q2", "a2"]
    assert copy.search("q2")
    assert [m.content for m in store.history(chat)] == ["q", "a"]
    with pytest.raises(StorageError):
        Store(None, copy_of=path.with_name("nothing.db"))


def test_an_io_error_on_a_full_disk_is_called_by_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    monkeypatch.setattr(database.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    assert "disk is full" in str(database._in_words(error, path))
    monkeypatch.setattr(database.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 10**9))
    assert "disk I/O error" in str(database._in_words(error, path))


def test_a_process_number_that_was_used_again_does_not_keep_a_reply_busy(store: Store, path: Path) -> None:
    chat, _, reply = store.begin_turn(None, "q", "q", "m")
    store.flush(reply, "half")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        owner = "UPDATE messages SET owner = ?, owner_started = ? WHERE id = ?"
        store._run(owner, other.pid, started(other.pid), reply)
        assert store.stop_orphans() == 0, "it is at work"
        store._run(owner, other.pid, "when another process had this number", reply)
        assert store.stop_orphans() == 1
        other.communicate(b"\n")
    last = store.history(chat)[-1]
    assert (last.status, last.content) == ("stopped", "half")


def test_the_end_of_a_reply_waits_for_the_disk(store: Store) -> None:
    chat, _, reply = store.begin_turn(None, "q", "q", "m")
    unsaved, long = Unsaved(), "words " * 20_000
    pages = store._db.conn.execute("PRAGMA page_count").fetchone()[0]
    store._db.conn.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError, match="kept in memory"):
        unsaved.finish(store, reply, long, "complete", {"tokens": 7})
    assert unsaved.retry() == 0
    stored = store.history(chat)[-1]
    assert (stored.status, unsaved.over(stored).content) == ("streaming", long)
    store._db.conn.execute("PRAGMA max_page_count = 100000")
    assert unsaved.retry() == 1
    stored = store.history(chat)[-1]
    assert (stored.status, stored.content, stored.tokens) == ("complete", long, 7)
    assert unsaved.over(stored) is stored
