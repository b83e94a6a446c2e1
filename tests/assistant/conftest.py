"""A model folder that only the catalog looks at, the fake worker's command, and the app driven through the Pilot."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Static

from assistant.app import HomespunApp
from assistant.screens.chat import ChatScreen
from assistant.widgets.message import ReplyView
from assistant.widgets.prompt import Prompt
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import Transcript

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def command() -> list[str]:
    return [sys.executable, str(FAKE)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "max_position_embeddings": 1024}))
    (folder / "model.safetensors").write_bytes(b"only looked at")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


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
        return [str(n.content) for n in self.screen.query(".note").results(Static) if n.display]

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


@pytest.fixture
def opened(model: Path, data: Path, command: list[str]):
    @asynccontextmanager
    async def opened(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driver]:
        app = HomespunApp(str(model), data_dir=data, command=command)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Driver(app, pilot)

    return opened
