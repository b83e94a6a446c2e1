"""MessageView: one message as one reads it, with who speaks; and QuestionView, what a person wrote."""

from __future__ import annotations

from collections.abc import Iterator

from textual import events
from textual.content import Content
from textual.message import Message as Event

from assistant.markdown.rows import Row
from assistant.prompting.attaching import files_in
from assistant.storage.rows import Message
from assistant.widgets.page_view import PageView

LONGEST_SHOWN = 60  # lines of a question; a pasted book is sent whole and shown by its beginning
STEP = ("before", "‹"), ("after", "›")
NOTE, WRONG = "italic $foreground 70%", "$text-error"  # styles of the small lines below


class MessageView(PageView):
    """A message on screen; `message` is what is stored of it. The first part of its page says who speaks."""

    class Picked(Event):
        """It was clicked."""

        def __init__(self, view: MessageView) -> None:
            super().__init__()
            self.view = view

    class Stepped(Event):
        """The reader wants the branch `by` places further."""

        def __init__(self, message: int, by: int) -> None:
            super().__init__()
            self.message, self.by = message, by

    def __init__(self, message: Message, waiting: str = "") -> None:
        super().__init__("message")
        self.become(message, waiting)

    def become(self, message: Message, waiting: str = "") -> None:
        """Show `message`, whatever was shown before. `waiting` stands under a reply without a word yet."""
        self.message = message

    def refit(self, message: Message, waiting: str = "") -> None:
        """Show what has changed of the message: its place among its siblings, its text, its state."""
        self.message = message

    def role(self) -> Row:
        """Who speaks, and where there are several branches here, which one this is: ‹ 2/3 ›."""
        message = self.message
        parts: list[Content | str] = ["You" if message.role == "user" else "homespun"]
        if message.siblings > 1:
            back, on = (Content.from_markup(f" [$accent @click={name}()]{sign}[/] ") for name, sign in STEP)
            parts += ["  ", back, f"{message.place}/{message.siblings}", on]
        if message.mark:
            parts.append("  good" if message.mark > 0 else "  bad")
        return Row(Content.assemble(*parts), f"bold {self.BAR}", wrap="cut")

    def action_before(self) -> None:
        self.post_message(self.Stepped(self.message.id, -1))

    def action_after(self) -> None:
        self.post_message(self.Stepped(self.message.id, 1))

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Picked(self))  # Textual calls PageView's on_click, too


class QuestionView(MessageView):
    """What the person wrote, as it was written."""

    BAR = "$secondary"

    def become(self, message: Message, waiting: str = "") -> None:
        super().become(message)
        self.put(0, [[self.role(), *self._rows()]])

    def refit(self, message: Message, waiting: str = "") -> None:
        before = self.role()
        super().refit(message)
        if self.role().text.plain != before.text.plain:
            self.put(0, [[self.role(), *self._rows()]])

    def _rows(self) -> Iterator[Row]:
        text, files = files_in(self.message.content)
        lines = text.split("\n")
        shown = "\n".join(lines[:LONGEST_SHOWN])[: LONGEST_SHOWN * 200]
        for line in shown.split("\n"):
            yield Row(Content(line.expandtabs(4)))
        if len(shown) < len(text):
            yield Row(Content(f"… {len(text):,} characters in {len(lines):,} lines, all of them sent"), NOTE)
        for name, content in files:
            size = f"{content.count(chr(10)) + 1:,} lines, {len(content):,} characters"
            yield Row(Content(f"▤ {name} went along: {size}"), NOTE)
