"""Verdicts in the database: found again, corrected, and gone when they are deleted."""

from __future__ import annotations

from pathlib import Path

from assistant.storage.store import Store

MAIL = {"sender": "x@y.example", "normaliser": 1, "raw": b"Subject: Offer"}


def keep(store: Store, words: str, task: str = "spam") -> int:
    values = {"name": "a.eml", "subject": "An offer", "shown": f"An offer\n\n{words}", "text": words}
    return store.begin_verdict(task, {**MAIL, **values}, {})


def test_a_mail_is_kept_before_it_is_judged_and_corrected_afterwards(tmp_path: Path) -> None:
    store = Store(tmp_path / "chats.db")
    first, second = keep(store, "cheap watches"), keep(store, "lunch on Friday")
    assert store.verdict(first).answer == ""
    store.finish_verdict(first, "spam", 0.99, {"threshold": 0.9})
    store.label_verdict(first, "not spam")
    kept = store.verdict(first)
    assert (kept.answer, kept.label, kept.details) == ("spam", "not spam", {"threshold": 0.9})
    assert [v.id for v in store.verdicts()] == [second, first]
    assert store.corrections("spam", 1) == [("cheap watches", "not spam")]
    assert store.corrections("spam", 2) == [], "the text of another normaliser is not mixed in"


def test_searching_knows_words_their_beginnings_and_odd_characters(tmp_path: Path) -> None:
    store = Store(tmp_path / "chats.db")
    watches, chinese = keep(store, 'cheap "watches" 100%'), keep(store, "今天天气很好")
    assert [v.id for v in store.verdicts("cheap watch")] == [watches]
    assert [v.id for v in store.verdicts('"watches"')] == [watches]
    assert [v.id for v in store.verdicts("天气")] == [chinese]
    assert [v.id for v in store.verdicts("offer")] == [chinese, watches]
    assert store.verdicts("100% (OR") == []


def test_a_deleted_verdict_is_in_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "chats.db")
    verdict = keep(store, "zanzibar holiday")
    keep(store, "something else")
    store.delete_verdict(verdict)
    assert [v.shown for v in store.verdicts()] == ["An offer\n\nsomething else"]
    for file in tmp_path.glob("chats.db*"):
        assert b"zanzibar" not in file.read_bytes().lower(), file
