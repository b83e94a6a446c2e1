"""ChatList: the chats at the side, under headings by day."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.chat_groups import grouped
from assistant.storage.rows import Chat
from assistant.text import ago


class ChatList(OptionList):
    """Options whose ids are the chats' ids; headings have none and cannot be chosen."""

    def show(self, chats: list[Chat], current: int | None, wanted: str = "") -> None:
        """List those of `chats` whose titles have the words of `wanted`, `current` highlighted."""
        self.clear_options()
        places: list[int | None] = []
        for heading, members in grouped(chats, wanted):
            self.add_option(Option(Text(heading, style="bold dim"), disabled=True))
            self.add_options(Option(_line(chat), id=str(chat.id)) for chat in members)
            places += [None, *(chat.id for chat in members)]
        self.highlighted = places.index(current) if current is not None and current in places else None

    @property
    def titles(self) -> list[str]:
        """The titles listed, from the top."""
        return [str(option.prompt).splitlines()[0] for option in self.options if option.id]


def _line(chat: Chat) -> Text:
    line = Text(chat.title, no_wrap=True, overflow="ellipsis")
    line.append("\nbusy in another window" if chat.busy else f"\n{ago(chat.updated)}", style="dim")
    return line
