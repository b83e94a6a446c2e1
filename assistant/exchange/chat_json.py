"""A chat as JSON and back, nothing lost: all branches, settings, numbers. `/export FILE.json` and archives are so."""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, fields
from typing import Any

from assistant.errors import ExchangeError
from assistant.exchange.tree import COLUMNS, ChatTree, Node, checked

FORMAT = {"format": "homespun-chat", "version": 1}
CHAT = ("uid", "title", "model", "system", "params", "created", "updated", "archived", "pinned", "named", "library")
# What each field may be in a file, beside null where the class says so.
TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool, int)}


def as_data(tree: ChatTree, *, draft: bool = False) -> dict[str, Any]:
    """`tree` as one JSON object; messages are numbered from 1. `draft`: with what stands unsent in its prompt."""
    chat: dict[str, Any] = {name: getattr(tree, name) for name in CHAT}
    chat["leaf"] = None if tree.leaf is None else tree.leaf + 1
    if draft:
        chat["draft"] = tree.draft
    messages = []
    for number, node in enumerate(tree.nodes, 1):
        parent = None if node.parent is None else node.parent + 1
        message = {"id": number, "parent": parent, **{name: getattr(node, name) for name in COLUMNS}}
        more = {"sources": list(node.sources), "feedback": node.feedback}
        messages.append({**message, **{name: value for name, value in more.items() if value}})
    return {**FORMAT, "chat": chat, "messages": messages}


def from_data(data: Any) -> ChatTree:
    """The chat that `as_data` made `data` of.

    Raises:
        ExchangeError: it is no such object, or from a newer homespun, or has values that cannot be.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT["format"]:
        raise ExchangeError("It is no chat of homespun.")
    if data.get("version") != FORMAT["version"]:
        raise ExchangeError(f"Its version is {data.get('version')!r}; this homespun reads 1. Update homespun.")
    chat, messages = data.get("chat"), data.get("messages")
    if not isinstance(chat, dict) or not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise ExchangeError("It has no chat and messages in it.")
    if not chat.get("uid"):  # written before chats had one: the same file is then the same chat
        chat = {**chat, "uid": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]}
    numbers = {message.get("id"): index for index, message in enumerate(messages) if _hashable(message.get("id"))}
    if len(numbers) < len(messages):
        raise ExchangeError("Two of its messages have the same number.")
    nodes = [_node(message, numbers) for message in messages]
    values = _typed(ChatTree, {name: chat[name] for name in (*CHAT, "draft") if name in chat})
    return checked(ChatTree(**values, nodes=nodes, leaf=_place(numbers, chat.get("leaf"))))


def _node(message: dict[str, Any], numbers: dict[Any, int]) -> Node:
    sources = message.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise ExchangeError("A message's sources are no list of passages.")
    said = message.get("feedback")
    if said is not None and not isinstance(said, dict):
        raise ExchangeError("What was said of a reply is no mark.")
    columns = {name: message[name] for name in COLUMNS if name in message}
    values = _typed(Node, {"parent": _place(numbers, message.get("parent")), **columns})
    return Node(**values, sources=tuple(sources), feedback=said)


def _place(numbers: dict[Any, int], number: Any) -> int | None:
    if number is None:
        return None
    if not _hashable(number) or number not in numbers:
        raise ExchangeError(f"It speaks of a message {number!r} that it has not got.")
    return numbers[number]


def _hashable(number: Any) -> bool:
    return isinstance(number, int | str)


def _typed(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """`values` of `cls`, each of its field's type."""
    for one in fields(cls):
        wanted = str(one.type).removesuffix(" | None")
        if one.name not in values:
            if one.default is MISSING and one.default_factory is MISSING and wanted in TYPES:
                raise ExchangeError(f"It does not say its {one.name}.")
            continue
        value = values[one.name]
        optional = value is None and str(one.type) != wanted
        if not optional and (not isinstance(value, TYPES[wanted]) or (wanted != "bool" and isinstance(value, bool))):
            raise ExchangeError(f"Its {one.name} is {json.dumps(value)[:40]}, which it cannot be.")
        if wanted == "bool":
            values[one.name] = bool(value)
    return values
