"""MailPrompt: where a mail is pasted. A long one is handed on at once: nobody edits it, and drawing it is slow."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.binding import BindingType

from assistant.screens.keys import PROMPT_KEYS, spelt
from assistant.text import printable
from assistant.widgets.prompt import Prompt

SEND, NEWLINE = PROMPT_KEYS
LONGEST = 20_000  # characters that are shown here


class MailPrompt(Prompt):
    """A Prompt without slash commands."""

    BINDINGS: ClassVar[list[BindingType]] = [
        replace(SEND, description="Judge", tooltip="Judge this mail"),
        replace(NEWLINE, show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="pasted")

    def on_mount(self) -> None:
        self.placeholder = f"Paste a mail · {spelt(self, str(SEND.id))} judges it"

    async def _on_paste(self, event: events.Paste) -> None:
        if len(self.text) + len(event.text) <= LONGEST:
            await super()._on_paste(event)
            return
        event.stop()
        event.prevent_default()
        self.post_message(self.Submitted(self, f"{self.text}\n{printable(event.text)}".lstrip("\n")))

    def update_suggestion(self) -> None:
        self.suggestion = ""
