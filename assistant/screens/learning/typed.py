"""TypeScreen: examples typed in by hand. What was typed is never thrown away, however the screen is left."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Static, TextArea

from assistant.screens.keys import spelt
from assistant.screens.learning.keys import TYPE_KEYS
from assistant.text import printable
from assistant.widgets.key_line import KeyLine


class TypeScreen(Screen[str | None]):
    """Ends with the text. `example` stands there while there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [*TYPE_KEYS]

    def __init__(self, text: str, example: str) -> None:
        super().__init__()
        self._text, self._example = text, example

    def compose(self) -> ComposeResult:
        yield Static(f"Type or paste it in; {spelt(self, 'typed-done')} is done.", id="title", markup=False)
        yield TextArea(self._text, placeholder=self._example, id="typed")
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()

    def action_done(self) -> None:
        self.dismiss(printable(self.query_one(TextArea).text))
