"""ChatList: the chats at the side, the one used last first."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.storage.rows import Chat
from assistant.text import ago


class ChatList(OptionList):
    """Options whose ids are the chats' ids."""

    def show(self, chats: list[Chat], current: int | None) -> None:
        """List `chats`, `current` highlighted."""
        self.clear_options()
        self.add_options(Option(_line(chat), id=str(chat.id)) for chat in chats)
        places = [chat.id for chat in chats]
        self.highlighted = places.index(current) if current in places else None


def _line(chat: Chat) -> Text:
    line = Text(chat.title, no_wrap=True, overflow="ellipsis")
    line.append(f"\n{ago(chat.updated)}", style="dim")
    return line
