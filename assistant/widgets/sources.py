"""SourceLines: below a reply, the passages it was given, each a line to click; Enter on the reply opens them too."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message as Event
from textual.widgets import Static

from assistant.library.grounding import line
from assistant.storage.libraries import Source


class SourceLines(Static):
    """The passages that the reply `message` was given."""

    class Opened(Event):
        """The reader wants to see the passage at `place`."""

        def __init__(self, message: int, place: int) -> None:
            super().__init__()
            self.message, self.place = message, place

    def __init__(self, message: int, sources: Sequence[Source]) -> None:
        lines = [line(number, source) for number, source in enumerate(sources, 1)]
        super().__init__("\n".join(["From the documents (Enter opens):", *lines]), markup=False, classes="sources")
        self._message, self.sources = message, list(sources)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Opened(self._message, max(0, min(event.y - 1, len(self.sources) - 1))))
