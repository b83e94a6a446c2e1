"""MailPrompt: where a mail is pasted. A long one is handed on at once: nobody edits it, and drawing it is slow."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from assistant.text import printable
from assistant.widgets.prompt import Prompt

LONGEST = 20_000  # characters that are shown here


class MailPrompt(Prompt):
    """A Prompt without slash commands."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+j", "newline", "New line", show=False)]

    def __init__(self) -> None:
        super().__init__(id="pasted")
        self.placeholder = "Paste a mail · Enter judges it"

    async def _on_paste(self, event: events.Paste) -> None:
        if len(self.text) + len(event.text) <= LONGEST:
            await super()._on_paste(event)
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Submitted(self, f"{self.text}\n{printable(event.text)}".lstrip("\n")))

    def update_suggestion(self) -> None:
        self.suggestion = ""
