"""What the store hands out: chats, messages, places found, and what an undo needs. Plain values, no statements.

Tuples with names: a long chat is thousands of them, and they are made four times as fast as frozen dataclasses.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Status = Literal["complete", "streaming", "stopped", "failed"]


FOUND = ("\ue000", "\ue001")  # signs for private use, which no text has: before and after words that were found


class Chat(NamedTuple):
    id: int
    title: str
    model: str
    system: str
    params: str  # JSON: what this chat wants otherwise than its model's defaults
    draft: str
    leaf: int | None
    created: str  # ISO 8601, UTC
    updated: str
    archived: bool
    pinned: bool
    named: bool  # a person gave the title; it is not made anew
    busy: bool = False  # a reply is being made in another window


class Message(NamedTuple):
    id: int
    chat: int
    parent: int | None
    role: str
    content: str
    status: Status
    owner: int | None  # the process that is making it
    model: str | None
    tokens: int | None
    tokens_per_second: float | None
    seconds_to_first_token: float | None
    seed: int | None
    created: str
    finish: str | None  # why the engine ended: stop, length or cancelled
    dropped: int | None  # oldest messages the model could not be shown
    context_used: int | None  # tokens, at the end of this reply
    place: int = 1  # among its siblings, from 1
    siblings: int = 1  # itself included
    mark: int = 0  # 1: a person found it good, -1: bad


class Hit(NamedTuple):
    """A message that was searched for and found."""

    chat: int
    message: int
    title: str
    snippet: str  # the place, with the words found between FOUND's two signs


class Removed(NamedTuple):
    """What was deleted, for undoing it. It is in memory only: on disk the text has been overwritten."""

    chat: int
    leaf: int | None
    rows: tuple[dict[str, Any], ...]  # parents before children
    moved: tuple[int, ...] = ()  # children of a single deleted message, which went to its parent
    beside: tuple[tuple[str, dict[str, Any]], ...] = ()  # rows of other tables that went with them
