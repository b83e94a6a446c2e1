"""Unsaved: the ends of replies that the store would not take (a full disk, a lock), kept until it does.

They are in memory only; the chat on screen shows them, and they are tried again as long as the app runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from assistant.errors import StorageError
from assistant.storage.rows import Message, Status
from assistant.storage.store import Store


@dataclass(frozen=True)
class _End:
    store: Store
    text: str
    status: Status
    numbers: dict[str, object]


class Unsaved:
    """By the replies' ids."""

    def __init__(self) -> None:
        self._ends: dict[int, _End] = {}

    def finish(self, store: Store, reply: int, text: str, status: Status, numbers: dict[str, object]) -> None:
        """Store the end of `reply`, or keep it.

        Raises:
            StorageError: it is kept.
        """
        self._ends[reply] = _End(store, text, status, numbers)
        try:
            self._save(reply)
        except StorageError as error:
            raise type(error)(f"{error} The reply is kept in memory and saved as soon as that works.") from error

    def retry(self) -> int:
        """Store what can be stored now. Returns how many ends that were."""
        saved = 0
        for reply in list(self._ends):
            try:
                self._save(reply)
            except StorageError:
                break
            saved += 1
        return saved

    def over(self, message: Message) -> Message:
        """`message` as it is, where the store has only an earlier state of it."""
        end = self._ends.get(message.id)
        return message._replace(content=end.text, status=end.status) if end else message

    def _save(self, reply: int) -> None:
        end = self._ends[reply]
        end.store.finish(reply, end.text, end.status, **end.numbers)
        del self._ends[reply]
