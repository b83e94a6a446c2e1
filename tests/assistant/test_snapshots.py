"""Every screen in dark and light, at 80×24 and 120×40, against the pictures in `snapshots/`.

`make snapshots` (or SNAPSHOTS=new python -m pytest tests/assistant/test_snapshots.py) draws them anew; look at the
difference before you commit it. A new screen is one line in SCREENS.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from assistant.screens.dialogs import ConfirmScreen, LineScreen, TextScreen
from assistant.screens.logs import LogScreen
from tests.assistant.driver import Driver
from tests.assistant.picturing import cells, picture

FOLDER = Path(__file__).parent / "snapshots"
Open = Callable[[Driver], Awaitable[object]]


def press(*keys: str) -> Open:
    return lambda it: it.pilot.press(*keys)


def ask(text: str) -> Open:
    return lambda it: it.ask(text)


def push(make: Callable[[], object]) -> Open:
    async def open_(it: Driver) -> None:
        it.app.push_screen(make())  # type: ignore[arg-type]

    return open_


# In this order, in one window; each screen that opens above the chat is closed again before the next one.
SCREENS: dict[str, Open] = {
    "first_start": press(),
    "chat": ask("Hello, who are you?"),
    "code": ask("CODE"),
    "selected": press("shift+tab", "k"),
    "search": press("ctrl+f", *"hello"),
    "help": press("f1"),
    "delete": press("f8"),
    "rename": push(lambda: LineScreen("A new name for this chat", "Who are you?")),
    "edit": push(lambda: TextScreen("Change the question; Enter sends it as a branch", "Who are\nyou?")),
    "confirm": push(lambda: ConfirmScreen("Delete “Who are you?” for good?", "Delete")),
    "logs": push(lambda: LogScreen(Path("/no/such/folder"))),
}


async def _still(it: Driver) -> None:
    """Nothing moves or blinks any more, and no notice covers anything."""
    it.app.clear_notifications()
    for _ in range(3):
        await it.pilot.pause()
    before = None
    while before != (now := _cells(it)):
        before = now
        await it.pilot.pause(0.3)


def _cells(it: Driver) -> object:
    """What is on screen, its cursors still."""
    for widget in it.app.screen.query("Input, TextArea"):
        if isinstance(widget, Input):
            widget.cursor_blink = widget._cursor_visible = False
        elif isinstance(widget, TextArea):
            widget.cursor_blink = False
    return cells(it.app)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_screens_look_as_in_their_pictures(opened, size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.widgets.chat_list.ago", lambda _: "now")
    drawn: dict[str, str] = {}
    async with opened(size) as it:
        it.app.animation_level = "none"
        await it.until(lambda: "CPU, a fake" in it.status)
        for name, open_ in SCREENS.items():
            await open_(it)
            both = []
            for theme in ("homespun-dark", "homespun-light"):
                it.app.theme = theme
                await _still(it)
                both.append(cells(it.app))
            drawn[name] = picture(*both)
            while it.app.screen is not it.screen:
                it.app.pop_screen()
                await it.pilot.pause()
    wrong = []
    for name, now in drawn.items():
        path = FOLDER / f"{name}-{size[0]}x{size[1]}.txt"
        if os.environ.get("SNAPSHOTS") == "new":
            FOLDER.mkdir(exist_ok=True)
            path.write_text(now, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != now:
            wrong.append(_difference(path, now))
    assert not wrong, "\n".join(wrong)


def _difference(path: Path, now: str) -> str:
    """The first line that differs."""
    old = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    for number, line in enumerate(now.split("\n"), 1):
        was = old[number - 1] if number <= len(old) else "(nothing)"
        if line != was:
            return f"{path.name}, line {number}:\n  was {was}\n  is  {line}\n`make snapshots` draws it anew."
    return f"{path.name} is shorter than it was"
