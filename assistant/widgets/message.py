"""MessageView: one message as one reads it, with who speaks; and QuestionView, what a person wrote."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message as Event
from textual.widgets import Static

from assistant.prompting.attaching import files_in
from assistant.storage.rows import Message

LONGEST_SHOWN = 60  # lines of a question; a pasted book is sent whole and shown by its beginning
STEP = ("before", "‹"), ("after", "›")


class RoleLine(Static):
    """Who speaks, and where there are several branches here, which one this is: ‹ 2/3 ›."""

    class Stepped(Event):
        """The reader wants the branch `by` places further."""

        def __init__(self, message: int, by: int) -> None:
            super().__init__()
            self.message, self.by = message, by

    def show(self, name: str, message: Message) -> None:
        self._message = message.id
        parts: list[Content | str] = [Content(name)]
        if message.siblings > 1:
            back, on = (Content.from_markup(f" [@click={name}()]{sign}[/] ") for name, sign in STEP)
            parts = [*parts, "  ", back, f"{message.place}/{message.siblings}", on]
        if message.mark:
            parts.append("  good" if message.mark > 0 else "  bad")
        self.update(Content.assemble(*parts))

    def action_before(self) -> None:
        self.post_message(self.Stepped(self._message, -1))

    def action_after(self) -> None:
        self.post_message(self.Stepped(self._message, 1))


class MessageView(Vertical):
    """A message on screen; `message` is what is stored of it."""

    class Picked(Event):
        """It was clicked."""

        def __init__(self, view: MessageView) -> None:
            super().__init__()
            self.view = view

    def __init__(self, message: Message, kind: str) -> None:
        super().__init__(classes=f"message {kind}")
        self.message = message
        self._role = RoleLine(classes="role")

    async def refit(self, message: Message, waiting: str = "") -> None:
        """Show what has changed of the message: its place among its siblings, its text, its state.

        `waiting` stands under a reply without a word yet.
        """
        self.message = message
        self._role.show(self.speaker, message)

    @property
    def speaker(self) -> str:
        return "You" if self.message.role == "user" else "homespun"

    async def on_mount(self) -> None:
        self._role.show(self.speaker, self.message)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Picked(self))


class QuestionView(MessageView):
    """What the person wrote, as it was written."""

    def __init__(self, message: Message) -> None:
        super().__init__(message, "question")

    def compose(self) -> ComposeResult:
        yield self._role
        text, files = files_in(self.message.content)
        lines = text.split("\n")
        shown = "\n".join(lines[:LONGEST_SHOWN])[: LONGEST_SHOWN * 200]
        yield Static(shown, markup=False, classes="words")
        if len(shown) < len(text):
            rest = f"… {len(text):,} characters in {len(lines):,} lines, all of them sent"
            yield Static(rest, markup=False, classes="note")
        for name, content in files:
            size = f"{content.count(chr(10)) + 1:,} lines, {len(content):,} characters"
            yield Static(f"▤ {name} went along: {size}", markup=False, classes="note")
