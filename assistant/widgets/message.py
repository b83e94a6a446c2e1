"""QuestionView and ReplyView: one message as one reads it. Replies are Markdown that grows while they are made."""

from __future__ import annotations

import asyncio

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message as Event
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from assistant.prompting.attaching import files_in
from assistant.screens.keys import spelt
from assistant.storage.libraries import Source
from assistant.storage.rows import Message
from assistant.widgets.code import Fence
from assistant.widgets.sources import SourceLines

LONGEST_SHOWN = 60  # lines of a question; a pasted book is sent whole and shown by its beginning
BATCH_SECONDS = 0.1  # between two growths of a reply on screen
STILL_SECONDS = 0.5  # the same, for those who want little to move
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

    async def refit(self, message: Message) -> None:
        """Show what has changed of the message: its place among its siblings, its text, its state."""
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


class ReplyMarkdown(Markdown):
    """Markdown whose blocks of code can be copied."""

    BLOCKS = {**Markdown.BLOCKS, "fence": Fence, "code_block": Fence}  # noqa: RUF012 - Textual's own name and type


class ReplyView(MessageView):
    """What the model said or is saying."""

    def __init__(self, message: Message, waiting: str = "") -> None:
        super().__init__(message, "reply")
        text = message.content
        self._text, self._given = text, len(text)  # the whole reply, and how much of it the Markdown has got
        self._body = ReplyMarkdown(text, open_links=False, classes="words")
        self._note = Static("", markup=False, classes="note")
        self._stream: MarkdownStream | None = None
        self._growing = asyncio.Lock()
        self._due = False  # a growth is planned
        self.note(waiting or note_of(message, spelt(self, "continue")))

    def compose(self) -> ComposeResult:
        yield self._role
        yield self._body
        yield self._note

    async def on_mount(self) -> None:
        await super().on_mount()
        await self._catch_up()

    @property
    def source(self) -> str:
        """What is on screen."""
        return self._body.source

    def note(self, text: str, *, error: bool = False) -> None:
        """The small line below; empty takes it away."""
        self._note.update(text)
        self._note.display = bool(text)
        self._note.set_class(error, "error")

    def grow(self, text: str) -> None:
        """The reply is now `text`, which begins with what it was. Shown about ten times a second."""
        if not self._text:
            self.note("")  # no longer waiting
        self._text = text
        if not self._due and self.is_attached:
            self._due = True
            self.set_timer(BATCH_SECONDS if self.app.animation_level != "none" else STILL_SECONDS, self._catch_up)

    async def _catch_up(self) -> None:
        """Give the Markdown what it has not got yet. Before it is mounted it would forget it."""
        self._due = False
        async with self._growing:
            if self._given == len(self._text) or not (self._body.is_mounted and self.is_attached):
                return
            self._stream = self._stream or Markdown.get_stream(self._body)
            new, self._given = self._text[self._given :], len(self._text)
            await self._stream.write(new)

    async def cite(self, sources: list[Source]) -> None:
        """List the passages that the reply was given."""
        lines = next(iter(self.query(SourceLines)), None)
        if lines is not None and lines.sources != sources:
            await lines.remove()
            lines = None
        if sources and lines is None:
            await self.mount(SourceLines(self.message.id, sources))

    async def refit(self, message: Message, waiting: str = "") -> None:
        await super().refit(message)
        if message.status == "streaming" and self._text.startswith(message.content):
            pass  # the store is a little behind the screen
        elif message.content.startswith(self._text):
            self._text = message.content
            await self._catch_up()
        else:
            self._text, self._given = message.content, len(message.content)
            await self._body.update(message.content)
        if message.status != "streaming":
            stream, self._stream = self._stream, None
            if stream is not None:
                await stream.stop()
        self.note(waiting or note_of(message, spelt(self, "continue")))


def note_of(message: Message, key: str) -> str:
    """What one should know about how a reply ended; `key` goes on with it."""
    if message.status == "stopped":
        return f"stopped · {key} goes on with it" if message.content else "stopped"
    if message.status == "failed":
        return "not finished"
    return f"cut at the longest allowed length · {key} goes on with it" if message.finish == "length" else ""
