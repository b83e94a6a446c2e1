"""Prompt: where one types. Enter sends, Ctrl+J makes a new line; pastes come in whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea

from assistant.commands import completion
from assistant.text import printable

# Every terminal can tell Ctrl+J from Enter; the others are for those that report them.
NEWLINE_KEYS = ("ctrl+j", "shift+enter", "alt+enter", "ctrl+enter")


class Prompt(TextArea):
    """A text area that grows with its text up to the height its style allows.

    Up in the first line goes back through what `asked` gives, Down in the last one forward again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j", "newline", "New line", tooltip="New line in the message"),
    ]

    class Submitted(Message):
        """Enter was pressed; the text is still in the prompt, whoever takes it clears it."""

        def __init__(self, prompt: Prompt, text: str) -> None:
            super().__init__()
            self.prompt, self.text = prompt, text

        @property
        def control(self) -> Prompt:
            return self.prompt

    def __init__(self, asked: Callable[[], list[str]] | None = None, **options: str | None) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, tab_behavior="focus", **options)  # type: ignore[arg-type]
        self._asked, self._back = asked, 0  # how many messages one has gone back
        self._typed = ""  # what stood here before going back
        self.placeholder = "Type a message · Enter sends it"

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted(self, self.text))
        elif event.key in NEWLINE_KEYS:
            event.stop()
            event.prevent_default()
            self.action_newline()
        elif self._goes_back(event.key):
            event.stop()
            event.prevent_default()
        elif event.key == "tab" and self.suggestion:
            event.stop()
            event.prevent_default()
            self.insert(self.suggestion)
        else:
            await super()._on_key(event)

    def _goes_back(self, key: str) -> bool:
        """Whether `key` has gone through what was sent before."""
        if key == "up" and self.cursor_location[0] == 0:
            return self._go_back(1)
        return key == "down" and bool(self._back) and self.cursor_at_last_line and self._go_back(-1)

    def render_line(self, y: int) -> Strip:
        """As Textual's, which cannot wrap the placeholder into no room at all."""
        return super().render_line(y) if self.content_size.width > 0 else Strip.blank(self.size.width)

    def action_newline(self) -> None:
        self.insert("\n")

    def update_suggestion(self) -> None:
        """Textual asks for it after every change: the rest of a slash command."""
        self.suggestion = completion(self.text)

    def _go_back(self, by: int) -> bool:
        asked = self._asked() if self._asked is not None else []
        to = self._back + by
        if not 0 <= to <= len(asked):
            return by > 0  # at the oldest one, Up does nothing
        if self._back == 0:
            self._typed = self.text
        self.fill(asked[to - 1] if to else self._typed)
        self._back = to
        return True

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.replace(printable(event.text), *self.selection)
        self.move_cursor(self.selection.end)
        self.scroll_cursor_visible()

    def fill(self, text: str) -> None:
        """Put `text` in, the cursor behind it."""
        self._back = 0
        self.load_text(text)
        self.move_cursor(self.document.end)
