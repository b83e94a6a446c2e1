"""ChatTree: a chat as it travels, whatever program it comes from, and the checks that it can be one of ours.

Reading other programs' files is `chatgpt.py` and `llm_logs.py`; storing is `storage/exchange.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, get_args

from assistant.errors import ExchangeError
from assistant.storage.rows import Status
from assistant.text import make_title, printable

ROLES = ("system", "user", "assistant")
LARGEST = 2**63  # SQLite's integers end here
NEVER = (
    "1970-01-01T00:00:00.000+00:00"  # for what has no time: always the same, so that it is known when it comes again
)


@dataclass(frozen=True)
class Node:
    """A message; the fields but the first and the last two are columns of the table `messages`."""

    parent: int | None  # index of the message it answers
    role: str
    content: str
    created: str  # ISO 8601
    status: str = "complete"
    model: str | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    seconds_to_first_token: float | None = None
    seed: int | None = None
    finish: str | None = None
    dropped: int | None = None
    context_used: int | None = None
    sources: tuple[dict[str, Any], ...] = ()  # passages of documents that the reply was given
    feedback: dict[str, Any] | None = None  # what a person said of it: mark, better, created


COLUMNS = tuple(f.name for f in fields(Node) if f.name not in ("parent", "sources", "feedback"))


@dataclass(frozen=True)
class ChatTree:
    """A chat with all its branches; the fields but `nodes`, `leaf` and `library` are columns of the table `chats`."""

    uid: str  # the same chat has the same one wherever it is, so that none is imported twice
    title: str
    model: str
    created: str
    updated: str
    nodes: Sequence[Node] = ()
    leaf: int | None = None  # index of the message at which the chat ends
    system: str = ""
    params: str = "{}"
    draft: str = ""
    archived: bool = False
    pinned: bool = False
    named: bool = False
    library: str = ""  # the name of the documents it answers from
    notes: dict[str, int] = field(default_factory=dict)  # what of the file has no place here, and how often


def moment(value: Any, otherwise: str = NEVER) -> str:
    """An ISO time or seconds since 1970 as we store times; `otherwise` where it is no time at all."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            then = datetime.fromtimestamp(value, UTC)
        else:
            then = datetime.fromisoformat(str(value))
            then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return then.astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return otherwise


def checked(tree: ChatTree) -> ChatTree:
    """`tree` as it can be stored: texts without control characters, times in our form, parents before children.

    Raises:
        ExchangeError: a value cannot be what it says, or the messages are no tree.
    """
    created = moment(tree.created)
    nodes = [_checked(node, created) for node in tree.nodes]
    for node in nodes:
        if node.parent is not None and not 0 <= node.parent < len(nodes):
            raise ExchangeError("A message answers one that is not in the file.")
    leaf = tree.leaf if tree.leaf is not None and 0 <= tree.leaf < len(nodes) else None
    if leaf is None and nodes:
        leaf = len(nodes) - 1
    order = _order(nodes)
    place = {old: new for new, old in enumerate(order)}
    moved = [replace(nodes[i], parent=_at(place, nodes[i].parent)) for i in order]
    return replace(
        tree,
        nodes=moved,
        leaf=_at(place, leaf),
        title=_line(tree.title) or "Imported chat",
        model=_line(tree.model),
        created=created,
        updated=moment(tree.updated, created),
        system=printable(tree.system),
        params=printable(tree.params),
        draft=printable(tree.draft),
        library=_line(tree.library),
    )


def _checked(node: Node, created: str) -> Node:
    if node.role not in ROLES:
        raise ExchangeError(f"A message has the role {node.role!r}; there are {', '.join(ROLES)}.")
    if node.status not in get_args(Status):
        raise ExchangeError(f"A message has the state {node.status!r}, which there is not.")
    for name in COLUMNS:
        value = getattr(node, name)
        if isinstance(value, int | float) and not -LARGEST <= value < LARGEST:  # also no NaN
            raise ExchangeError(f"A message's {name} is no number that can be.")
    return replace(
        node,
        content=printable(node.content),
        created=moment(node.created, created),
        status="stopped" if node.status == "streaming" else node.status,  # nobody is making it here
        model=None if node.model is None else _line(node.model),
        finish=None if node.finish is None else _line(node.finish),
        sources=tuple(map(_source, node.sources)),
        feedback=None if node.feedback is None else _feedback(node.feedback),
    )


def _feedback(said: dict[str, Any]) -> dict[str, Any]:
    mark, better = said.get("mark"), said.get("better")
    if mark not in (-1, 0, 1) or not isinstance(better, str):
        raise ExchangeError("What was said of a reply is no mark.")
    return {"mark": mark, "better": printable(better), "created": moment(said.get("created"))}


def _source(source: dict[str, Any]) -> dict[str, Any]:
    """A passage of a document, as `storage.libraries.Source` has it."""
    texts = {name: source.get(name) for name in ("path", "heading", "text")}
    page = source.get("page")
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(page, int | None):
        raise ExchangeError("A passage that a reply was given has no path, heading or text.")
    return {
        "path": printable(str(texts["path"])),
        "heading": printable(str(texts["heading"])),
        "page": page,
        "text": printable(str(texts["text"])),
    }


def _order(nodes: Sequence[Node]) -> list[int]:
    """The order they are in, where parents come first in it; otherwise level by level."""
    if all(node.parent is None or node.parent < i for i, node in enumerate(nodes)):
        return list(range(len(nodes)))
    children: dict[int | None, list[int]] = {}
    for i, node in enumerate(nodes):
        children.setdefault(node.parent, []).append(i)
    order = list(children.get(None, ()))
    for i in order:  # grows while it is walked
        order += children.get(i, ())
    if len(order) < len(nodes):
        raise ExchangeError("Its messages answer each other in a circle.")
    return order


def _at(place: dict[int, int], index: int | None) -> int | None:
    return None if index is None else place[index]


def _line(text: str) -> str:
    return " ".join(printable(text).split("\n"))


def title_for(title: Any, nodes: Sequence[Node]) -> str:
    """The title a chat came with, or one made of its first question."""
    if isinstance(title, str) and title.strip():
        return title.strip()[:200]
    return make_title(next((node.content for node in nodes if node.role == "user"), "Imported chat"))
