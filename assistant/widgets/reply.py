"""ReplyView: what the model says, as Markdown that grows while it is made.

Markdown and its highlighting take a tenth of a second to import: this module is imported when a reply is to be shown.
"""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.widgets import Static

from assistant.screens.keys import spelt
from assistant.storage.libraries import Source
from assistant.storage.rows import Message
from assistant.widgets.markdown import MarkdownView
from assistant.widgets.message import MessageView
from assistant.widgets.sources import SourceLines

BATCH_SECONDS = 0.1  # between two growths of a reply on screen, as long as growing is cheap
STILL_SECONDS = 0.5  # the longest; and always, for those who want little to move
SHARE = 0.12  # of a core that a growing reply may take: the longer it is, the dearer, and the rarer it grows


class ReplyView(MessageView):
    """What the model said or is saying."""

    def __init__(self, message: Message, waiting: str = "") -> None:
        super().__init__(message, "reply")
        self._text = message.content  # the whole reply; the body may be a little behind
        self._body = MarkdownView(message.content)
        self._note = Static("", markup=False, classes="note")
        self._due = False  # a growth is planned
        self._worked = time.thread_time()  # of this thread, as of the last growth
        self.note(waiting or note_of(message, spelt(self, "continue")))

    def compose(self) -> ComposeResult:
        yield self._role
        yield self._body
        yield self._note

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
        """The reply is now `text`, which begins with what it was. Shown ten times a second, or as SHARE allows."""
        if not self._text:
            self.note("")  # no longer waiting
        self._text = text
        if not self._due and self.is_attached:
            self._due = True
            self.set_timer(self._pause(), self._catch_up)

    def _pause(self) -> float:
        """Seconds until it may grow again: what the last growth cost, over the share that it may take."""
        before, self._worked = self._worked, time.thread_time()
        if self.app.animation_level == "none":
            return STILL_SECONDS
        return min(max((self._worked - before) / SHARE, BATCH_SECONDS), STILL_SECONDS)

    def _catch_up(self) -> None:
        """Give the body what it has not got yet."""
        self._due = False
        if more := self._text[len(self._body.source) :]:
            self._body.append(more)

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
        elif message.content.startswith(self._body.source):
            self._text = message.content
            self._catch_up()
        else:
            self._text = message.content
            self._body.replace(message.content)
        self.note(waiting or note_of(message, spelt(self, "continue")))


def note_of(message: Message, key: str) -> str:
    """What one should know about how a reply ended; `key` goes on with it."""
    if message.status == "stopped":
        return f"stopped · {key} goes on with it" if message.content else "stopped"
    if message.status == "failed":
        return "not finished"
    return f"cut at the longest allowed length · {key} goes on with it" if message.finish == "length" else ""
