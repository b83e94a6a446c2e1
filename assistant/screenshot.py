"""`python -m assistant.screenshot OUT.svg`: the real app with a real reply, as a picture for the README."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from assistant.app import HomespunApp
from assistant.screens.chat.screen import ChatScreen
from assistant.widgets.prompt import Prompt

QUESTIONS = ("Hello! Who are you?", "Why is the sky blue?", "Write a birthday message for my sister.")
PATIENCE = 60.0  # seconds for a reply, the loading of the model included


async def take(out: Path, data: Path, size: tuple[int, int] = (100, 32), theme: str = "homespun-dark") -> None:
    """Ask the questions one after the other and save the screen to `out`."""
    app = HomespunApp(data_dir=data)
    async with app.run_test(size=size) as pilot:
        app.theme = theme
        app.service.params = app.service.params.__class__(**{**vars(app.service.params), "seed": 1})
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ChatScreen)
        for question in QUESTIONS:
            screen.query_one(Prompt).fill(question)
            await pilot.press("enter")
            await pilot.pause()
            async with asyncio.timeout(PATIENCE):
                while screen._live is not None:
                    await pilot.pause(0.1)
        await pilot.pause(0.5)
        app.save_screenshot(out.name, str(out.parent))


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "screenshot.svg").resolve()
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(take(out, Path(data)))


if __name__ == "__main__":
    main()
