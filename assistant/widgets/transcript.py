"""Transcript: a chat's messages as one reads them. Replies are Markdown that grows while they are made."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from assistant.storage.rows import Message

LONGEST_SHOWN = 60  # lines of a question; a pasted book is sent whole and shown by its beginning
NOTES = {"stopped": "stopped", "failed": "not finished"}

WELCOME = """\
homespun, a small chat assistant made at home.
Private and offline: all stays on this computer.
I answer simple things; do not trust my facts.
Enter sends · Ctrl+J new line · F1 help"""


class QuestionView(Vertical):
    """What the person wrote, as it was written."""

    def __init__(self, text: str) -> None:
        super().__init__(classes="message question")
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static("You", classes="role")
        lines = self._text.split("\n")
        shown = "\n".join(lines[:LONGEST_SHOWN])[: LONGEST_SHOWN * 200]
        yield Static(shown, markup=False, classes="words")
        if len(shown) < len(self._text):
            rest = f"… {len(self._text):,} characters in {len(lines):,} lines, all of them sent"
            yield Static(rest, markup=False, classes="note")


class ReplyView(Vertical):
    """What the model said or is saying."""

    def __init__(self, text: str = "", status: str = "complete", waiting: str = "") -> None:
        super().__init__(classes="message reply")
        self._text, self._given = text, len(text)  # the whole reply, and how much of it the Markdown has got
        self._ended = status != "streaming"
        self._body = Markdown(text, open_links=False, classes="words")
        self._note = Static("", markup=False, classes="note")
        self._stream: MarkdownStream | None = None
        self.note(waiting or NOTES.get(status, ""))

    def compose(self) -> ComposeResult:
        yield Static("homespun", classes="role")
        yield self._body
        yield self._note

    async def on_mount(self) -> None:
        await self._catch_up()
        if self._ended:  # while it was being mounted
            await self._end_stream()

    def note(self, text: str, *, error: bool = False) -> None:
        """The small line below; empty takes it away."""
        self._note.update(text)
        self._note.display = bool(text)
        self._note.set_class(error, "error")

    async def write(self, text: str) -> None:
        """Append to the reply."""
        if not self._text:
            self.note("")  # no longer waiting
        self._text += text
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Give the Markdown what it has not got yet. Before it is mounted it would forget it."""
        if self._given == len(self._text) or not (self._body.is_mounted and self.is_attached):
            return
        self._stream = self._stream or Markdown.get_stream(self._body)
        new, self._given = self._text[self._given :], len(self._text)
        await self._stream.write(new)

    async def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()

    async def finish(self, status: str, error: str = "") -> None:
        """The reply has ended; `error` says why, where it did not end well."""
        self._ended = True
        await self._end_stream()
        self.note(error or NOTES.get(status, ""), error=bool(error))


class Transcript(VerticalScroll):
    """All messages of the chat on screen. It follows a growing reply until the reader scrolls up."""

    can_focus = True

    async def show(self, messages: list[Message], live: ReplyView | None = None, live_id: int = 0) -> None:
        """Show a chat; `live` takes the place of message `live_id`, which is being made."""
        views = [self._view(m) if m.id != live_id or live is None else live for m in messages]
        async with self.batch():
            await self.remove_children()
            await self.mount_all(views or [Static(WELCOME, markup=False, id="welcome")])
        self.anchor()

    def _view(self, message: Message) -> QuestionView | ReplyView:
        if message.role == "user":
            return QuestionView(message.content)
        return ReplyView(message.content, message.status)

    async def add(self, *views: Vertical | Static) -> None:
        """Append `views` and go to the end."""
        for welcome in self.query("#welcome"):
            await welcome.remove()
        await self.mount_all(views)
        self.anchor()
