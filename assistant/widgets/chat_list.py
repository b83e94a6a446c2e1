"""ChatList: the chats at the side, under headings by day; the first ones, and more as one goes down."""

from __future__ import annotations

from rich.text import Text
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.chat_groups import grouped
from assistant.storage.rows import Chat
from assistant.text import ago, printable

PAGE = 100  # chats that are listed at first, and more at a time: thousands of options would hold up every key


class ChatList(OptionList):
    """Options whose ids are the chats' ids; headings have none and cannot be chosen."""

    class Wanted(Message):
        """One has come near the end of what is listed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._reach = PAGE
        self._more = False  # there are chats beyond those listed
        self._listed: list[tuple[int | None, str, str]] = []

    def reach(self, wanted: str = "") -> int:
        """How many chats `show` needs: one more than it lists, or all (-1) where they are filtered."""
        return -1 if wanted else self._reach + 1

    def show(self, chats: list[Chat], current: int | None, wanted: str = "", empty: str = "No chats yet") -> None:
        """List those of `chats` whose titles have the words of `wanted`, `current` highlighted; `empty` for none."""
        lines: list[tuple[int | None, str, str]] = []
        left = self._reach
        for heading, members in grouped(chats, wanted):
            if left > 0:
                lines.append((None, heading, ""))
                lines += [(chat.id, printable(chat.title), _state(chat)) for chat in members[:left]]
            left -= len(members)
        self._more = left < 0
        if not lines:
            lines = [(None, "No title has these words" if chats else empty, "")]
        if lines != self._listed:  # otherwise the reader's place in the list stays
            self._listed = lines
            self.clear_options()
            self.add_options(map(_option, lines))
        places = [line[0] for line in lines]
        self.highlighted = places.index(current) if current is not None and current in places else None

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._more and new_value > old_value and new_value >= self.max_scroll_y - self.size.height:
            self._more = False  # until the longer list is there
            self._reach += PAGE
            self.post_message(self.Wanted())

    @property
    def titles(self) -> list[str]:
        """The titles listed, from the top."""
        return [title for chat, title, _ in self._listed if chat is not None]


def _state(chat: Chat) -> str:
    return "busy in another window" if chat.busy else ago(chat.updated)


def _option(line: tuple[int | None, str, str]) -> Option:
    chat, title, state = line
    if chat is None:
        return Option(Text(title, style="bold dim"), disabled=True)
    text = Text(title, no_wrap=True, overflow="ellipsis")
    text.append(f"\n{state}", style="dim")
    return Option(text, id=str(chat))
