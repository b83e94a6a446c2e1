"""Chats of other programs: ChatGPT's export and llm's logs, in the shapes those programs write."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from assistant.errors import ExchangeError
from assistant.exchange.importing import bring, read, told
from assistant.exchange.tree import ChatTree
from assistant.storage.store import Store


def says(role: str, *parts: Any, at: float | None = None, kind: str = "text", **more: Any) -> dict[str, Any]:
    content = {"content_type": kind, "parts": list(parts), **more.pop("content", {})}
    return {"id": "m", "author": {"role": role}, "create_time": at, "content": content, **more}


def conversation() -> dict[str, Any]:
    """A root without a message, a hidden one, an edited question, and a picture among the words."""
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}
    heard = {"content_type": "audio_transcription", "text": "what I said"}
    thought = {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "c"}]}
    slug = {"metadata": {"model_slug": "gpt-4o"}}
    messages = {
        "root": (None, ["hidden"], None),
        "hidden": ("root", ["q1", "q2"], says("system", "", metadata={"is_visually_hidden_from_conversation": True})),
        "q1": ("hidden", ["a1"], says("user", "First try", at=1_700_000_001)),
        "a1": ("q1", [], says("assistant", "Answer one", at=1_700_000_002, **slug)),
        "q2": ("hidden", ["t"], says("user", picture, "Look at", heard, at=1_700_000_003.5, kind="multimodal_text")),
        "t": ("q2", ["a2"], {"author": {"role": "assistant"}, "content": thought}),
        "a2": ("t", ["c"], says("assistant", "Answer two", "in two parts", at=1_700_000_004, **slug)),
        "c": ("a2", ["o"], {"author": {"role": "assistant"}, "recipient": "python",
                            "content": {"content_type": "code", "language": "python", "text": "1+1"}}),
        "o": ("c", ["w"], {"author": {"role": "tool"}, "content": {"content_type": "execution_output", "text": "2"}}),
        "w": ("o", [], {"author": {"role": "tool"}, "content": {"content_type": "tether_quote", "text": "web"}}),
    }  # fmt: skip
    mapping = {
        name: {"id": name, "parent": parent, "children": children, "message": message}
        for name, (parent, children, message) in messages.items()
    }
    return {"title": "Sums\x1b[31m", "create_time": 1_700_000_000.25, "update_time": 1_700_000_009, "mapping": mapping,
            "current_node": "w", "conversation_id": "abc", "is_archived": False}  # fmt: skip


def exported(path: Path, *conversations: dict[str, Any]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("conversations.json", json.dumps(conversations))
    return path


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "chats.db")
    yield store
    store.close()


def test_chatgpts_export_as_downloaded(store: Store, tmp_path: Path) -> None:
    found = read(exported(tmp_path / "export.zip", conversation()))
    said = told(found, bring(store, found))
    assert said == (
        "1 chat with 6 messages imported from ChatGPT. "
        "Left out, for there is no place for it here: 1 pictures, 1 thoughts, 1 answers of tools."
    )
    (chat,) = store.chats()
    assert (chat.title, chat.model) == ("Sums[31m", "gpt-4o")
    assert chat.created == "2023-11-14T22:13:20.250+00:00"
    way = store.history(chat.id)
    assert [m.content for m in way] == [
        "[picture]\n\nLook at\n\nwhat I said",
        "Answer two\n\nin two parts",
        "```python\n1+1\n```",
        "```\n2\n```",
    ]
    assert (way[0].place, way[0].siblings) == (2, 2)
    assert way[0].created == "2023-11-14T22:13:23.500+00:00"
    assert way[2].created == way[1].created, "one without a time gets that of the one before"
    store.step(way[0].id, -1)
    assert [m.content for m in store.history(chat.id)] == ["First try", "Answer one"]


def test_a_later_export_adds_only_what_is_new(store: Store, tmp_path: Path) -> None:
    bring(store, read(exported(tmp_path / "one.zip", conversation())))
    later = conversation()
    later["mapping"]["w"]["children"] = ["q3"]
    later["mapping"]["q3"] = {"parent": "w", "children": [], "message": says("user", "Thanks", at=1_700_000_100)}
    later |= {"current_node": "q3", "update_time": 1_700_000_100}
    (tmp_path / "conversations.json").write_text(json.dumps([later]))
    taken = bring(store, read(tmp_path / "conversations.json"))
    assert (taken.new, taken.grown, taken.messages) == (0, 1, 1)
    assert store.history(store.numbers()[0])[-1].content == "Thanks"
    assert bring(store, read(tmp_path)).known == 1, "the folder that the export was unpacked to"


def test_custom_instructions_become_the_chats_own(store: Store, tmp_path: Path) -> None:
    told = {"content_type": "user_editable_context", "user_profile": "I am a baker.", "user_instructions": "Be brief."}
    mapping = {"i": {"message": {"author": {"role": "user"}, "content": told}}, "q": {"parent": "i", "message": None}}
    (tree,) = read(exported(tmp_path / "x.zip", {"mapping": mapping, "title": None})).trees
    assert (tree.system, tree.title, list(tree.nodes)) == ("I am a baker.\n\nBe brief.", "Imported chat", [])


def test_deep_and_odd_conversations(tmp_path: Path) -> None:
    mapping: dict[str, Any] = {"0": {"parent": None, "message": says("user", "start", at=1.0)}}
    for n in range(1, 3000):
        mapping[str(n)] = {"parent": str(n - 1), "message": says("assistant", str(n), at=float("nan"))}
    odd = {"mapping": {"a": {"parent": "gone", "message": says("user", 7, None, {"x": 1}, ["y"], "word")}, "b": 3},
           "create_time": "yesterday", "current_node": ["?"]}  # fmt: skip
    deep, strange = read(exported(tmp_path / "x.zip", {"mapping": mapping}, odd)).trees
    assert len(deep.nodes) == 3000
    assert [n.content for n in strange.nodes] == ["word"]
    assert strange.notes == {"attachments": 1}
    mapping["0"]["parent"] = "2999"
    with pytest.raises(ExchangeError, match=r"Conversation 1 is broken\. Its messages answer each other in a circle"):
        read(exported(tmp_path / "y.zip", {"mapping": mapping}))


OLD = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
  response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT);
INSERT INTO conversations VALUES ('c1', 'Pelicans', 'gpt-4');
INSERT INTO responses VALUES ('r2', 'gpt-4', 'And why?', NULL, '', '', 'Because.', '', 'c1', 5, '2024-02-02T10:00:05'),
  ('r1', 'gpt-4', 'Why?', 'Be kind.', '', '', 'Well.', '', 'c1', 5, '2024-02-02T10:00:00'),
  ('r3', 'gpt-4', 'Alone', NULL, '', '', 'Yes.', '', NULL, 5, '2024-02-03T10:00:00');
"""
FRAGMENTS = """
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
INSERT INTO fragments VALUES (1, 'x', 'second piece'), (2, 'y', 'first piece');
INSERT INTO prompt_fragments VALUES ('r1', 1, 1), ('r1', 2, 0);
"""
NEW = """
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
  payload TEXT);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
  datetime_utc TEXT);
INSERT INTO messages VALUES ('h0', NULL, 'system', NULL), ('h1', 'h0', 'user', NULL), ('h2', 'h1', 'assistant', NULL),
  ('h3', 'h2', 'user', NULL), ('h4', 'h3', 'assistant', NULL);
INSERT INTO parts VALUES (1, 'h0', 0, 'text', NULL, 'Be kind.', NULL),
  (2, 'h1', 0, 'text', NULL, NULL, '{"text_ref": [{"fragment": 2}, {"literal": "\\nWhy?"}]}'),
  (3, 'h1', 1, 'attachment', NULL, NULL, '{"attachment": {"id": "z"}}'),
  (4, 'h2', 0, 'reasoning', NULL, 'hm', NULL), (5, 'h2', 1, 'text', NULL, 'Well.', NULL),
  (6, 'h3', 0, 'text', NULL, 'And why?', NULL), (7, 'h4', 0, 'text', NULL, 'Because.', NULL);
INSERT INTO threads VALUES ('c1', 'Pelicans', 'h4', NULL, '2026-02-02T10:00:00+00:00'),
  ('c9', 'A fork', 'h2', 'c1', '2026-02-02T11:00:00+00:00');
INSERT INTO turns VALUES ('t1', 'c1', 'h1', 'h2', 'echo', '2026-02-02T10:00:00+00:00'),
  ('t2', 'c1', 'h3', 'h4', 'echo', '2026-02-02T10:00:07+00:00');
"""


def logs(path: Path, *scripts: str) -> Path:
    db = sqlite3.connect(path)
    for script in scripts:
        db.executescript(script)
    db.close()
    return path


def lines(tree: ChatTree) -> list[tuple[str, str]]:
    return [(node.role, node.content) for node in tree.nodes]


def test_llms_logs_of_responses(store: Store, tmp_path: Path) -> None:
    chat, alone = read(logs(tmp_path / "logs.db", OLD, FRAGMENTS)).trees
    assert (chat.title, chat.model, chat.system) == ("Pelicans", "gpt-4", "Be kind.")
    assert lines(chat) == [
        ("user", "first piece\nsecond piece\nWhy?"),
        ("assistant", "Well."),
        ("user", "And why?"),
        ("assistant", "Because."),
    ]
    assert [n.parent for n in chat.nodes] == [None, 0, 1, 2]
    assert chat.updated == "2024-02-02T10:00:05.000+00:00"
    assert (alone.title, len(alone.nodes)) == ("Alone", 2)
    found = read(logs(tmp_path / "older.db", OLD))  # from before there were fragments
    bring(store, found)
    assert bring(store, found).known == 2


def test_llms_logs_of_turns(tmp_path: Path) -> None:
    alone, chat, fork = read(logs(tmp_path / "logs.db", OLD, FRAGMENTS, NEW)).trees
    assert (alone.title, fork.title) == ("Alone", "A fork")
    assert lines(chat) == [
        ("user", "first piece\nWhy?\n\n[attachment]"),
        ("assistant", "Well."),
        ("user", "And why?"),
        ("assistant", "Because."),
    ]
    assert (chat.system, chat.model, chat.notes) == ("Be kind.", "echo", {"attachments": 1, "thoughts": 1})
    assert chat.nodes[2].created == "2026-02-02T10:00:07.000+00:00"
    assert lines(fork) == lines(chat)[:2]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("CREATE TABLE birds (x)", "not llm's"),
        ("CREATE TABLE chats (x); CREATE TABLE messages (x)", "homespun's own"),
        ("CREATE TABLE responses (id)", "damaged"),
        (NEW.replace('"literal": ', '"other": ') + FRAGMENTS, "not as llm writes them"),
    ],
)
def test_other_databases_are_refused(script: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match=why):
        read(logs(tmp_path / "some.db", script))


def test_a_damaged_database(tmp_path: Path) -> None:
    path = logs(tmp_path / "logs.db", OLD)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ExchangeError, match="damaged"):
        read(path)
