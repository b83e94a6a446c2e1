"""Prompt: where one types. Enter sends, Ctrl+J makes a new line; pastes come in whole."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from assistant.text import printable

# Every terminal can tell Ctrl+J from Enter; the others are for those that report them.
NEWLINE_KEYS = ("ctrl+j", "shift+enter", "alt+enter", "ctrl+enter")


class Prompt(TextArea):
    """A text area that grows with its text up to the height its style allows."""

    class Submitted(Message):
        """Enter was pressed; the text is still in the prompt, whoever takes it clears it."""

        def __init__(self, prompt: Prompt, text: str) -> None:
            super().__init__()
            self.prompt, self.text = prompt, text

        @property
        def control(self) -> Prompt:
            return self.prompt

    def __init__(self, **options: str | None) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, tab_behavior="focus", **options)  # type: ignore[arg-type]
        self.placeholder = "Type a message · Enter sends it"

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted(self, self.text))
        elif event.key in NEWLINE_KEYS:
            event.stop()
            event.prevent_default()
            self.insert("\n")
        else:
            await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.replace(printable(event.text), *self.selection)
        self.move_cursor(self.selection.end)
        self.scroll_cursor_visible()

    def fill(self, text: str) -> None:
        """Put `text` in, the cursor behind it."""
        self.load_text(text)
        self.move_cursor(self.document.end)
