"""One model being added behind the screens: it goes on while one chats, and says so at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from assistant.errors import AssistantError
from assistant.models.shelf import Shelf
from assistant.text import printable
from engine.errors import EngineError

if TYPE_CHECKING:
    from assistant.models.events import Event

Tell = Callable[[str, bool], None]  # a sentence, and whether it is about a failure


class Background:
    """Adds to `shelf`, one at a time; `tell` hears how it ended."""

    def __init__(self, shelf: Shelf, tell: Tell) -> None:
        self._shelf, self._tell = shelf, tell
        self._task: asyncio.Task[None] | None = None
        self._name, self._note = "", ""
        self.line = ""  # how far it is, for whoever looks; "" when nothing is being added
        self.ended = 0  # how many have ended, so that a list knows when to look again

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, wish: str) -> bool:
        """Begin to add `wish`; False when another is still coming."""
        if self.busy:
            return False
        self._name, self._note = printable(wish)[:60], ""
        self.line = f"{self._name}: looking …"
        self._task = asyncio.get_running_loop().create_task(self._add(wish))
        return True

    def stop(self) -> None:
        """End it; what has come of a download is kept."""
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """End it and wait until its process is gone."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _add(self, wish: str) -> None:
        from assistant.models.adding import add  # not needed to chat

        try:
            async with aclosing(add(self._shelf, wish)) as events:
                async for event in events:
                    self._take(event)
        except asyncio.CancelledError:
            kept = any(one.name == self._name for one in self._shelf.unfinished())
            self._tell(
                f"Stopped adding {self._name}." + (" What has come is kept, to go on later." if kept else ""), False
            )
            raise
        except (AssistantError, EngineError) as error:
            self._tell(str(error), True)
        finally:
            self.line = ""
            self.ended += 1

    def _take(self, event: Event) -> None:
        from assistant.models.events import Added, Note, Plan, Progress, progress_line, size_text

        if isinstance(event, Plan):
            self._name = event.name
            self.line = f"{event.name}: {size_text(event.size)} to come"
        elif isinstance(event, Progress):
            at_end = event.done >= event.total
            self.line = f"{self._name}: " + ("checking it …" if at_end else progress_line(event))
            self._note = "" if event.speed else self._note
        elif isinstance(event, Note):
            self._note = printable(event.text)
        elif isinstance(event, Added):
            self._tell(f"{event.info.key} is here, in the list of models.", False)
        if self._note and self.line:
            self.line = f"{self._name}: {self._note}"
