"""The tree of a chat in the store: siblings, editing, continuing, forking, deleting and its undoing, the upgrade."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from assistant.errors import StorageError
from assistant.storage import database
from assistant.storage.steps import STEPS
from assistant.storage.store import TEMPORARY, Store, TemporaryStore, is_temporary


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "chats.db")


def say(store: Store, chat: int | None, question: str, answer: str) -> tuple[int, int, int]:
    chat, asked, reply = store.begin_turn(chat, question, question, "m")
    store.finish(reply, answer, "complete")
    return chat, asked, reply


def texts(store: Store, chat: int) -> list[str]:
    return [m.content for m in store.history(chat)]


@pytest.fixture
def talk(store: Store) -> tuple[int, list[int]]:
    """q1 a1 q2 a2; the ids in this order."""
    chat, q1, a1 = say(store, None, "q1", "a1")
    _, q2, a2 = say(store, chat, "q2", "a2")
    return chat, [q1, a1, q2, a2]


def test_an_edited_question_is_a_sibling_with_its_own_reply(store, talk) -> None:
    chat, (q1, *_) = talk
    _, _, reply = store.begin_edit(q1, "q1 better", "m")
    store.finish(reply, "a1 better", "complete")
    assert texts(store, chat) == ["q1 better", "a1 better"]
    assert [(m.place, m.siblings) for m in store.history(chat)] == [(2, 2), (1, 1)]


def test_walking_the_branches_comes_back_to_where_each_ended(store, talk) -> None:
    chat, (q1, *_) = talk
    _, edited, reply = store.begin_edit(q1, "q1 better", "m")
    store.finish(reply, "a1 better", "complete")
    assert store.step(edited, 1) is None
    assert store.step(edited, -1) == q1
    assert texts(store, chat) == ["q1", "a1", "q2", "a2"]
    assert store.step(q1, 1) == edited
    assert texts(store, chat) == ["q1 better", "a1 better"]


def test_regenerating_in_the_middle_keeps_what_followed_the_old_reply(store, talk) -> None:
    chat, (_, a1, _, _) = talk
    again = store.begin_again(chat, "m", a1)
    store.finish(again, "a1 again", "complete")
    assert texts(store, chat) == ["q1", "a1 again"]
    store.choose(a1)
    assert texts(store, chat) == ["q1", "a1", "q2", "a2"]


def test_a_question_without_reply_gets_one(store, talk) -> None:
    chat, ids = talk
    store.remove_branch(ids[3])
    reply = store.begin_again(chat, "m")
    store.finish(reply, "a2 new", "complete")
    assert texts(store, chat) == ["q1", "a1", "q2", "a2 new"]


def test_continuing_opens_the_reply_again(store, talk) -> None:
    chat, ids = talk
    store.finish(ids[3], "half", "stopped", finish="cancelled")
    assert store.begin_continue(ids[3], "m") == "half"
    reply = store.history(chat)[-1]
    assert (reply.status, reply.owner) == ("streaming", os.getpid())


def test_a_fork_is_a_chat_of_its_own(store, talk) -> None:
    chat, ids = talk
    store.instruct(chat, "Be brief.", '{"temperature": 0}')
    fork = store.fork(ids[1], "fork")
    assert texts(store, fork) == ["q1", "a1"]
    assert (store.chat(fork).system, store.chat(fork).params) == ("Be brief.", '{"temperature": 0}')
    say(store, fork, "else", "where")
    assert texts(store, chat) == ["q1", "a1", "q2", "a2"]
    store.delete(chat)
    assert texts(store, fork) == ["q1", "a1", "else", "where"]


def test_deleting_a_branch_and_undoing_it(store, talk) -> None:
    chat, (q1, a1, *_) = talk
    again = store.begin_again(chat, "m", a1)
    store.finish(again, "a1 again", "complete")
    store.choose(a1)
    removed = store.remove_branch(a1)
    assert texts(store, chat) == ["q1", "a1 again"]
    assert store.search("a2") == []
    assert store.restore(removed)
    assert texts(store, chat) == ["q1", "a1", "q2", "a2"]
    assert store.search("a2")
    assert store.remove_branch(q1).rows[0]["id"] == q1
    assert store.history(chat) == []


def test_deleting_one_message_moves_the_rest_up_and_undoing_puts_it_back(store, talk) -> None:
    chat, (_, a1, _, a2) = talk
    removed = store.remove_one(a1)
    assert texts(store, chat) == ["q1", "q2", "a2"]
    assert store.restore(removed)
    assert texts(store, chat) == ["q1", "a1", "q2", "a2"]
    removed = store.remove_one(a2)
    assert texts(store, chat) == ["q1", "a1", "q2"]
    store.delete(chat)
    assert not store.restore(removed), "its chat is gone"


def test_deleted_text_is_off_the_disk_though_it_can_be_undone(store, talk) -> None:
    say(store, talk[0], "the zanzibarsecret", "ok")
    removed = store.remove_branch(store.history(talk[0])[-2].id)
    for file in store.path.parent.glob("chats.db*"):
        assert b"zanzibarsecret" not in file.read_bytes(), file
    store.restore(removed)
    assert store.search("zanzibarsecret")


def test_what_is_gone_is_a_sentence(store) -> None:
    assert store.choose(99) is None
    assert store.step(99, 1) is None
    assert store.remove_branch(99) is None
    with pytest.raises(StorageError, match="deleted"):
        store.begin_edit(99, "x", "m")


def test_temporary_chats_have_numbers_of_their_own_and_no_file(tmp_path: Path) -> None:
    store = TemporaryStore()
    chat, _, reply = say(store, None, "secret", "yes")
    assert is_temporary(chat)
    assert reply > TEMPORARY
    assert not is_temporary(1)
    assert texts(store, chat) == ["secret", "yes"]
    assert list(tmp_path.iterdir()) == []


def test_chats_of_the_first_version_are_brought_up_to_date(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "chats.db"
    with monkeypatch.context() as patch:
        patch.setattr(database, "STEPS", STEPS[:1])
        patch.setattr(Store, "stop_orphans", lambda self, **_: 0)
        Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO chats (title, model, created, updated, leaf) VALUES ('old', 'm', '2026', '2026', 1)"
    )
    connection.execute(
        "INSERT INTO messages (chat, role, content, status, created) VALUES (1,'user','hi','complete','')"
    )
    connection.commit()
    connection.close()
    store = Store(path)
    assert [(c.title, c.pinned) for c in store.chats()] == [("old", False)]
    assert texts(store, 1) == ["hi"]
    assert list(tmp_path.glob("*.before-m002*.db"))


def test_another_processs_abandoned_reply_is_stopped_while_we_run(store, talk) -> None:
    chat, ids = talk
    store._run("UPDATE messages SET status = 'streaming', owner = ? WHERE id = ?", 2**22 + 5, ids[3])
    assert store.chats()[0].busy
    assert store.stop_orphans() == 1
    assert store.history(chat)[-1].status == "stopped"
    parent = os.getppid()  # alive, but it gave its last sign of life long ago
    store._run(
        "UPDATE messages SET status = 'streaming', owner = ?, heartbeat = '2020-01-01' WHERE id = ?", parent, ids[3]
    )
    assert store.stop_orphans() == 1


def test_a_pin_comes_first_and_the_archive_is_apart(store) -> None:
    first, *_ = say(store, None, "first", "a")
    second, *_ = say(store, None, "second", "a")
    store.pin(first, True)
    assert [c.id for c in store.chats()] == [first, second]
    store.archive(second, True)
    assert [c.id for c in store.chats()] == [first]
    assert [c.id for c in store.chats(archived=True)] == [second]
    assert store.search("second"), "put away, not forgotten"


def test_a_given_title_stays(store) -> None:
    chat, *_ = say(store, None, "first", "a")
    store.entitle(chat, "made")
    assert store.chat(chat).title == "made"
    store.rename(chat, "given")
    store.entitle(chat, "made again")
    assert store.chat(chat).title == "given"


def test_another_windows_writing_is_noticed(store) -> None:
    assert not store.changed()
    other = Store(store.path)
    say(other, None, "from the other", "a")
    assert store.changed()
    assert not store.changed()
    say(store, None, "our own", "a")
    assert not store.changed()
