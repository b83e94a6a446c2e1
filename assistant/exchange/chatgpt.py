"""ChatGPT's `conversations.json`: its tree followed, all branches kept, what has no place here counted.

What the parts of a message become is `chatgpt_parts.py`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from assistant.errors import ExchangeError
from assistant.exchange.chatgpt_parts import instructions, text_of
from assistant.exchange.tree import ChatTree, Node, checked, moment, title_for


def is_conversation(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("mapping"), dict)


def conversation(data: dict[str, Any]) -> ChatTree:
    """One element of the list in `conversations.json`.

    Raises:
        ExchangeError: it has no tree, or one that goes in a circle.
    """
    if not is_conversation(data):
        raise ExchangeError("It has no `mapping`, the tree of its messages.")
    mapping: dict[str, Any] = {str(k): v for k, v in data["mapping"].items() if isinstance(v, dict)}
    notes: Counter[str] = Counter()
    nodes: list[Node] = []
    place: dict[str, int | None] = {}  # where each node, or what is kept above it, is in `nodes`
    system = ""
    began = moment(data.get("create_time"))
    name = data.get("conversation_id") or data.get("id") or hashlib.sha256(repr(mapping).encode()).hexdigest()[:32]
    for step in _walk(mapping):
        above = place.get(str(mapping[step].get("parent")))
        place[step] = above
        message = mapping[step].get("message")
        if not isinstance(message, dict):
            continue
        system = system or instructions(message)
        role, text = text_of(message, notes)
        if not text.strip():
            continue
        at = moment(message.get("create_time"), nodes[above].created if above is not None else began)
        place[step] = len(nodes)
        model = _metadata(message).get("model_slug")
        nodes.append(Node(above, role, text, at, model=model if isinstance(model, str) else None))
    models = [node.model for node in nodes if node.model]
    model = data.get("default_model_slug") or (models[-1] if models else "ChatGPT")
    return checked(
        ChatTree(
            uid=f"chatgpt:{name}",
            title=title_for(data.get("title"), nodes),
            model=str(model),
            created=began,
            updated=moment(data.get("update_time"), began),
            nodes=nodes,
            leaf=place.get(str(data.get("current_node"))),
            system=system,
            archived=data.get("is_archived") is True,
            notes=dict(notes),
        )
    )


def _walk(mapping: dict[str, Any]) -> list[str]:
    """The nodes, parents before children; siblings as their parent lists them, else as they stand in the file."""
    children: dict[str | None, list[str]] = {}
    for name, node in mapping.items():
        parent = node.get("parent")
        children.setdefault(str(parent) if str(parent) in mapping else None, []).append(name)
    for parent, names in children.items():
        listed = mapping[parent].get("children") if parent is not None else None
        if isinstance(listed, list):
            order = {str(child): index for index, child in enumerate(listed)}
            names.sort(key=lambda name: order.get(name, len(order)))
    walked: list[str] = []
    left = children.get(None, [])[::-1]
    while left:
        name = left.pop()
        walked.append(name)
        left += children.get(name, [])[::-1]
    if len(walked) < len(mapping):
        raise ExchangeError("Its messages answer each other in a circle.")
    return walked


def _metadata(message: dict[str, Any]) -> dict[str, Any]:
    found = message.get("metadata")
    return found if isinstance(found, dict) else {}
