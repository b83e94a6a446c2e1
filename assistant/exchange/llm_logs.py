"""The `logs.db` of the command line tool llm, of both kinds: responses, and since 0.32 turns and messages."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from assistant.errors import ExchangeError
from assistant.exchange.tree import ChatTree, Node, checked, title_for

Rows = dict[str, list[sqlite3.Row]]


def read_logs(path: Path) -> list[ChatTree]:
    """The conversations in `path`, the oldest first.

    Raises:
        ExchangeError: it is damaged, or no log of llm's.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if {"chats", "messages"} <= tables:
                raise ExchangeError("It is a database of homespun's own: its chats leave it by `homespun export`.")
            if not tables & {"responses", "threads"}:
                raise ExchangeError("It is a database, but not llm's.")
            threads = {tree.uid: tree for tree in _threads(db)} if {"threads", "turns", "parts"} <= tables else {}
            old = {tree.uid: tree for tree in _conversations(db, tables)} if "responses" in tables else {}
    except sqlite3.Error as error:
        raise ExchangeError(f"It is damaged: {error}.") from error
    # A thread that goes on with an old conversation holds all of that conversation.
    return sorted((old | threads).values(), key=lambda tree: tree.created)


def _conversations(db: sqlite3.Connection, tables: set[str]) -> Iterator[ChatTree]:
    names = dict(db.execute("SELECT id, name FROM conversations")) if "conversations" in tables else {}
    fragments = _grouped(db, "prompt_fragments", tables)
    attachments = _grouped(db, "prompt_attachments", tables)
    groups: Rows = {}
    for row in db.execute("SELECT * FROM responses ORDER BY datetime_utc, id"):
        groups.setdefault(row["conversation_id"] or row["id"], []).append(row)
    texts = dict(db.execute("SELECT id, content FROM fragments")) if "fragments" in tables else {}
    for uid, rows in groups.items():
        notes: Counter[str] = Counter()
        nodes: list[Node] = []
        for row in rows:
            files = len(attachments.get(row["id"], ()))
            notes["attachments"] += files
            pieces = [str(texts.get(f["fragment_id"], "")) for f in fragments.get(row["id"], ())]
            words = [*pieces, row["prompt"] or "", *["[attachment]"] * files]
            at = str(row["datetime_utc"])
            above = len(nodes) - 1 if nodes else None
            nodes.append(Node(above, "user", "\n".join(w for w in words if w), at))
            nodes.append(Node(len(nodes) - 1, "assistant", str(row["response"] or ""), at, model=row["model"]))
        yield _tree(uid, names.get(uid), nodes, rows[0]["system"] or "", notes)


def _grouped(db: sqlite3.Connection, table: str, tables: set[str]) -> Rows:
    groups: Rows = {}
    if table in tables:
        for row in db.execute(f'SELECT * FROM {table} ORDER BY "order"'):
            groups.setdefault(row["response_id"], []).append(row)
    return groups


def _threads(db: sqlite3.Connection) -> Iterator[ChatTree]:
    messages = {row["hash"]: row for row in db.execute("SELECT hash, parent_hash, role FROM messages")}
    fragments = dict(db.execute("SELECT id, content FROM fragments"))
    parts: Rows = {}
    for row in db.execute("SELECT * FROM parts ORDER BY message_hash, position"):
        parts.setdefault(row["message_hash"], []).append(row)
    turns: dict[tuple[str, str], sqlite3.Row] = {}
    for turn in db.execute("SELECT * FROM turns ORDER BY id"):
        turns[turn["thread_id"], turn["tip_message_hash"]] = turn
        turns[turn["thread_id"], turn["parent_message_hash"]] = turn
    for thread in db.execute("SELECT * FROM threads ORDER BY id"):
        notes: Counter[str] = Counter()
        nodes: list[Node] = []
        system, at = "", str(thread["datetime_utc"])
        for name in _chain(messages, thread["tip_message_hash"]):
            role, turn = messages[name]["role"], turns.get((thread["id"], name))
            text = "\n\n".join(filter(None, (_text(part, fragments, notes) for part in parts.get(name, ()))))
            at = str(turn["datetime_utc"]) if turn else at
            if role == "system" and not nodes:
                system = text
            elif role in ("user", "assistant") and text:
                model = turn["model"] if turn and role == "assistant" else None
                nodes.append(Node(len(nodes) - 1 if nodes else None, role, text, at, model=model))
        yield _tree(thread["id"], thread["name"], nodes, system, notes)


def _chain(messages: dict[str, Any], tip: str | None) -> list[str]:
    chain: list[str] = []
    while tip in messages and len(chain) <= len(messages):
        assert tip is not None
        chain.append(tip)
        tip = messages[tip]["parent_hash"]
    if len(chain) > len(messages):
        raise ExchangeError("Its messages answer each other in a circle.")
    return chain[::-1]


def _text(part: sqlite3.Row, fragments: dict[int, str], notes: Counter[str]) -> str:
    if part["type"] != "text":
        notes[{"attachment": "attachments", "reasoning": "thoughts"}.get(part["type"], "calls of tools")] += 1
        return "[attachment]" if part["type"] == "attachment" else ""
    if part["text"] is not None:
        return str(part["text"])
    try:
        pieces = json.loads(part["payload"])["text_ref"]
        return "".join(p["literal"] if "literal" in p else fragments.get(p["fragment"], "") for p in pieces)
    except (ValueError, TypeError, KeyError):
        raise ExchangeError("The words of a message are not as llm writes them.") from None


def _tree(uid: str, title: str | None, nodes: list[Node], system: str, notes: Counter[str]) -> ChatTree:
    models = [node.model for node in nodes if node.model]
    began = nodes[0].created if nodes else ""
    return checked(
        ChatTree(
            uid=f"llm:{uid}",
            title=title_for(title, nodes),
            model=models[-1] if models else "llm",
            created=began,
            updated=nodes[-1].created if nodes else began,
            nodes=nodes,
            system=system,
            notes={kind: count for kind, count in notes.items() if count},
        )
    )
