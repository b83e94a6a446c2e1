"""Searching all chats: type, see the places, go to one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from assistant.errors import StorageError
from assistant.screens.list_dialog import ListDialog
from assistant.storage.rows import FOUND, Hit
from assistant.widgets.in_order import LineInput

# Of Markdown, which is no part of what is said.
MARKS = re.compile(r"\*{2,3}|`+|^\s*(?:#{1,6}|>|[-+*])\s", re.MULTILINE)


class SearchScreen(ListDialog[tuple[int, int] | None]):
    """The chat and the message that were chosen, or None. `search` is asked at every key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "dismiss(None)", "Close"),
        ("down", "app.focus_next", "Results"),
    ]

    def __init__(self, search: Callable[[str], list[Hit]]) -> None:
        super().__init__()
        self._search = search

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield LineInput(placeholder="Search all chats")
            yield OptionList()
            yield Label("Words, or a “phrase in quotes”, of all chats", markup=False, classes="note")

    @on(Input.Changed)
    def _look(self, event: Input.Changed) -> None:
        note, places = self.query_one(Label), self.query_one(OptionList)
        places.clear_options()
        try:
            hits = self._search(event.value)
        except StorageError as error:
            note.update(str(error))
            return
        places.add_options(Option(_line(hit), id=f"{hit.chat}-{hit.message}") for hit in hits)
        found = "Enter opens the first · ↓ goes to the list · Esc closes" if hits else "Nothing found."
        note.update(found if event.value.strip() else "Words, or a “phrase in quotes”, of all chats")
        self.fit()

    @on(Input.Submitted)
    def _first(self) -> None:
        places = self.query_one(OptionList)
        if places.option_count:
            self._go(places.get_option_at_index(0).id)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self._go(event.option_id)

    def _go(self, option: str | None) -> None:
        chat, _, message = (option or "").partition("-")
        self.dismiss((int(chat), int(message)) if option else None)


def _line(hit: Hit) -> Text:
    line = Text(hit.title, style="bold", no_wrap=True, overflow="ellipsis")
    line.append("\n")
    for index, part in enumerate(re.split(f"[{''.join(FOUND)}]", " ".join(MARKS.sub("", hit.snippet).split()))):
        line.append(part, style="bold underline" if index % 2 else "not bold dim")
    return line
