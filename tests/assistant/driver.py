"""Driver: the app under test and what one can see of it."""

from __future__ import annotations

import time

from assistant.app import HomespunApp
from assistant.screens.chat.screen import ChatScreen
from assistant.widgets.message import NOTE, WRONG, MessageView
from assistant.widgets.prompt import Prompt
from assistant.widgets.reply import ReplyView
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import Transcript


class Driver:
    """The app under test and what one can see of it."""

    def __init__(self, app: HomespunApp, pilot) -> None:
        self.app, self.pilot = app, pilot

    @property
    def screen(self) -> ChatScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, ChatScreen))

    @property
    def prompt(self) -> Prompt:
        return self.screen.query_one(Prompt)

    @property
    def transcript(self) -> Transcript:
        return self.screen.query_one(Transcript)

    @property
    def texts(self) -> list[str]:
        """The messages on the chat's way, as they are stored."""
        return [m.content for m in self.screen.history()]

    @property
    def status(self) -> str:
        return str(self.screen.query_one(StatusLine).content)

    @property
    def replies(self) -> list[str]:
        return [view.source for view in self.screen.query(ReplyView)]

    @property
    def notes(self) -> list[str]:
        """The small lines below messages, errors too."""
        lines = [line for view in self.screen.query(MessageView) for line in view._page.lines]
        return [line.row.text.plain for line in lines if line.row.style in (NOTE, WRONG)]

    @property
    def notified(self) -> str:
        return " ".join(n.message for n in self.app._notifications)

    async def until(self, ready, seconds: float = 15.0) -> None:
        limit = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < limit, f"waited in vain; status {self.status!r}, replies {self.replies}"
            await self.pilot.pause(0.02)

    async def send(self, text: str) -> None:
        self.prompt.fill(text)
        await self.pilot.press("enter")
        await self.pilot.pause()

    async def ask(self, text: str) -> None:
        await self.send(text)
        await self.until(lambda: self.screen._live is None)
        await self.pilot.pause()
