"""Album: pictures of one window's screens, in dark and light, compared with those in `snapshots/`.

`make snapshots` (SNAPSHOTS=new) draws them anew; look at the difference before you commit it. Each picture ends with
the name of the screen it shows, so that test_looks.py can tell which screens nobody has drawn.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.screen import Screen
from textual.widgets import Input, TextArea

from tests.assistant.driver import Driver
from tests.assistant.picturing import cells, picture

FOLDER = Path(__file__).parent / "snapshots"
THEMES = ["homespun-dark", "homespun-light"]
SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
STILL_SECONDS = 0.1  # in which nothing has moved


class Album(Driver):
    """A window under test that has its pictures taken; `compare` ends it."""

    def __init__(self, app, pilot) -> None:
        super().__init__(app, pilot)
        self.wrong: list[str] = []
        self._themes = list(THEMES)

    async def shows(self, kind: type) -> None:
        """Wait for a screen of this kind."""
        await self.until(lambda: isinstance(self.app.screen, kind) and self.app.screen.is_mounted)
        await self.pilot.pause()

    async def take(self, name: str, draw: Callable[[], Awaitable[None]] | None = None) -> None:
        """Compare the screen as it is now with the picture `name`; SNAPSHOTS=new makes it that picture.

        `draw` opens the screen anew in each theme; others take a new theme by themselves.
        """
        seen = {}
        for theme in self._themes:
            self.app.theme = theme
            if draw is not None:
                await draw()
            seen[theme] = await self._still()
        self._themes.reverse()  # the next picture begins with the theme that holds
        width, height = self.app.size
        path = FOLDER / f"{name}-{width}x{height}.txt"
        now = picture(*(seen[theme] for theme in THEMES)) + f"--- {type(self.app.screen).__name__}\n"
        if os.environ.get("SNAPSHOTS") == "new":
            FOLDER.mkdir(exist_ok=True)
            path.write_text(now, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != now:
            self.wrong.append(_difference(path, now))

    async def above(self, name: str, screen: Screen) -> None:
        """Open `screen` above the chat for its picture `name`."""
        await self.back()
        self.app.push_screen(screen)
        await self.shows(type(screen))
        await self.take(name)

    async def back(self) -> None:
        """Close everything above the chat."""
        while self.app.screen is not self.screen:
            self.app.pop_screen()
            await self.pilot.pause()

    def compare(self) -> None:
        assert not self.wrong, "\n".join(self.wrong)

    async def _still(self) -> object:
        """What is on screen once nothing moves or blinks any more, and no notice covers anything."""
        self.app.clear_notifications()
        await self.pilot.pause()
        before = None
        while before != (now := self._cells()):
            before = now
            await self.pilot.pause(STILL_SECONDS)
        return now

    def _cells(self) -> object:
        for widget in (widget for screen in self.app.screen_stack for widget in screen.query("Input, TextArea")):
            if isinstance(widget, Input):
                widget.cursor_blink = widget._cursor_visible = False
            elif isinstance(widget, TextArea):
                widget.cursor_blink = False
        return cells(self.app)


def _difference(path: Path, now: str) -> str:
    """The first line that differs."""
    old = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(now.split("\n"), 1):
        was = old[number - 1] if number <= len(old) else "(nothing)"
        if line != was:
            return f"{path.name}, line {number}:\n  was {was}\n  is  {line}\n`make snapshots` draws it anew."
    return f"{path.name} is shorter than it was"
