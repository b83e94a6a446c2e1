"""How a look inside a reply is drawn: probabilities, alternatives, token numbers, attention; live and afterwards."""

from __future__ import annotations

import pytest

from assistant.screens.inspect.screen import InspectScreen
from tests.assistant.album import SIZES
from tests.assistant.test_inspect_screen import WORKER, inside, look


@pytest.fixture
def command() -> list[str]:
    return WORKER


@SIZES
async def test_inside_a_reply(album, size) -> None:
    async with album(size) as it:
        await it.ask("Hello")
        screen = await look(it)
        await it.pilot.press("n")
        await it.take("inspect")
        await it.pilot.press("i")
        await it.take("inspect_ids")
        await it.pilot.press("i", "a")
        await it.until(lambda: screen.inspection.heat is not None)
        await it.take("inspect_attention")


@SIZES
async def test_inside_a_reply_that_is_made(album, size, monkeypatch) -> None:
    monkeypatch.setenv("INSIDE_WORKER", "wait")
    async with album(size) as it:
        await it.send("Hello")
        await it.send("/inspect")
        await it.shows(InspectScreen)
        await it.until(lambda: len(inside(it).inspection.pieces) == 2)
        await it.take("inspect_live")
