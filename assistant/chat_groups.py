"""Chats in the order of a list: under headings by day, those that match what was typed into the filter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from assistant.storage.rows import Chat
from assistant.storage.store import is_temporary


def grouped(chats: Iterable[Chat], wanted: str = "", now: datetime | None = None) -> list[tuple[str, list[Chat]]]:
    """Headings with their chats: temporary ones, pinned ones, then by the day of last use in local time.

    Every word of `wanted` must be in a chat's title, in any case; the order within a heading stays.
    """
    now = now or datetime.now().astimezone()
    words = wanted.casefold().split()
    groups: dict[str, list[Chat]] = {}
    for chat in chats:
        title = chat.title.casefold()
        if all(word in title for word in words):
            groups.setdefault(_heading(chat, now), []).append(chat)
    first = [name for name in ("Temporary", "Pinned") if name in groups]
    return [(name, groups[name]) for name in (*first, *(name for name in groups if name not in first))]


def _heading(chat: Chat, now: datetime) -> str:
    if is_temporary(chat.id):
        return "Temporary"
    if chat.pinned:
        return "Pinned"
    then = datetime.fromisoformat(chat.updated).astimezone(now.tzinfo)
    days = (now.date() - then.date()).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days < 7:
        return f"{then:%A}"
    return f"{then:%B}" if then.year == now.year else f"{then:%B %Y}"
