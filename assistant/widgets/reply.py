"""ReplyView: what the model says, as Markdown that grows while it is made.

Markdown and its highlighting take a tenth of a second to import: this module is imported when a reply is to be shown.
"""

from __future__ import annotations

import time

from textual.content import Content
from textual.message import Message as Event
from textual.style import Style

from assistant.library.grounding import line
from assistant.markdown.blocks import Growing
from assistant.markdown.rows import NOTHING, Row
from assistant.screens.keys import spelt
from assistant.storage.libraries import Source
from assistant.storage.rows import Message
from assistant.widgets.message import NOTE, WRONG, MessageView

BATCH_SECONDS = 0.1  # between two growths of a reply on screen, as long as growing is cheap
RARELY_SECONDS = 2.0  # the longest: a very long block of code is coloured anew each time
STILL_SECONDS = 0.5  # for those who want little to move
SHARE = 0.12  # of a core that a growing reply may take: the longer it is, the dearer, and the rarer it grows


class ReplyView(MessageView):
    """What the model said or is saying. Its page: who speaks, the blocks of Markdown, and what is to know about it."""

    class SourceOpened(Event):
        """The reader wants to see the passage at `place` of those that the reply `message` was given."""

        def __init__(self, message: int, place: int) -> None:
            super().__init__()
            self.message, self.place = message, place

    def __init__(self, message: Message, waiting: str = "") -> None:
        self._due = False  # a growth is planned
        self._worked = time.thread_time()  # of this thread, as of the last growth
        super().__init__(message, waiting)

    def become(self, message: Message, waiting: str = "") -> None:
        super().become(message)
        self.sources: list[Source] = []
        self.told, self._wrong = waiting or note_of(message, spelt(self, "continue")), False
        self._text = message.content  # the whole reply; the body may be a little behind
        self._body = Growing(message.content)
        self._put_all()

    def _put_all(self) -> None:
        self.put(0, [[self.role()], *(block.rows for block in self._body.blocks), self._foot()])

    def _foot(self) -> list[Row]:
        rows = [Row(Content(self.told), WRONG if self._wrong else NOTE)] if self.told else []
        if self.sources:
            rows += [Row(NOTHING), Row(Content("From the documents (Enter opens):"), "$foreground 70%")]
        for place, source in enumerate(self.sources):
            text = Content(line(place + 1, source)).stylize(Style.from_meta({"@click": f"source({place})"}))
            rows.append(Row(text, "$foreground 70%", wrap="cut"))
        return rows

    @property
    def source(self) -> str:
        """The Markdown that is on screen."""
        return self._body.source

    def note(self, text: str, *, error: bool = False) -> None:
        """The small line below; empty takes it away."""
        if (text, error) != (self.told, self._wrong):
            self.told, self._wrong = text, error
            self.put(1 + len(self._body.blocks), [self._foot()])

    def cite(self, sources: list[Source]) -> None:
        """List the passages that the reply was given."""
        if sources != self.sources:
            self.sources = sources
            self.put(1 + len(self._body.blocks), [self._foot()])

    def action_source(self, place: int) -> None:
        self.post_message(self.SourceOpened(self.message.id, place))

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
        least = STILL_SECONDS if self.app.animation_level == "none" else BATCH_SECONDS
        return min(max((self._worked - before) / SHARE, least), RARELY_SECONDS)

    def _catch_up(self) -> None:
        """Give the body what it has not got yet."""
        self._due = False
        if more := self._text[len(self.source) :]:
            stay = self._body.append(more)
            self.put(1 + stay, [*(block.rows for block in self._body.blocks[stay:]), self._foot()])

    def refit(self, message: Message, waiting: str = "") -> None:
        before = self.role().text.plain
        super().refit(message)
        if message.status == "streaming" and self._text.startswith(message.content):
            pass  # the store is a little behind the screen
        elif message.content.startswith(self.source):
            self._text = message.content
            self._catch_up()
        else:
            self._text, self._body = message.content, Growing(message.content)
            self._put_all()
        if self.role().text.plain != before:
            self._put_all()
        self.note(waiting or note_of(message, spelt(self, "continue")))


def note_of(message: Message, key: str) -> str:
    """What one should know about how a reply ended; `key` goes on with it."""
    if message.status == "stopped":
        return f"stopped · {key} goes on with it" if message.content else "stopped"
    if message.status == "failed":
        return "not finished"
    return f"cut at the longest allowed length · {key} goes on with it" if message.finish == "length" else ""
