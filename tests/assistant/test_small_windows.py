"""In a window of 40×10 and of 60×15: nothing that one needs is cut off, whatever is open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import OptionList

from assistant.screens.chat.chat_settings import ChatSettingsScreen, PersonasScreen
from assistant.screens.dialogs import ChoiceScreen, ConfirmScreen, LineScreen, TextScreen
from assistant.screens.help import HelpScreen
from assistant.screens.learning.vote import VoteScreen
from assistant.screens.libraries import LibrariesScreen
from assistant.screens.logs import LogScreen
from assistant.screens.models import ModelsScreen
from assistant.screens.path import PathScreen
from assistant.screens.rows import PickScreen
from assistant.screens.settings import KeyScreen, KeysScreen, SettingsScreen

SMALL = pytest.mark.parametrize("size", [(40, 10), (60, 15)], ids=lambda size: f"{size[0]}x{size[1]}")
LONG = "Delete “A chat with quite a long title” for good? Its text is overwritten on disk."


def cut(screen) -> list[str]:
    """The parts of the dialog on `screen` that cannot be seen whole, or be scrolled to."""
    dialog = screen.query_one(".dialog")
    room = dialog.region if isinstance(dialog, VerticalScroll) else dialog.content_region
    found = [] if screen.region.contains_region(dialog.region) else ["the dialog"]
    if isinstance(dialog, VerticalScroll):
        return found
    parts = [part for part in dialog.query("*") if part.display and part.parent.display and part.size]
    lists = [part for part in parts if isinstance(part, OptionList | VerticalScroll)]
    inside = [part for part in parts if not any(one in part.ancestors for one in lists)]
    return found + [f"{part!r} {part.region}" for part in inside if not room.contains_region(part.region)]


def dialogs(it) -> Iterator[Screen]:
    service, config = it.app.service, it.app.config
    pairs = [{"prompt": "Who?", "before": "A reply that is long. " * 20, "after": "Another. " * 20}]
    yield SettingsScreen(config, ["Brief"], lambda: None)
    yield KeysScreen(config, lambda: None)
    yield KeyScreen("Set what the model is told and how it answers in this chat")
    yield PickScreen("Persona", {str(n): f"number {n}" for n in range(30)}, "3")
    yield ChatSettingsScreen(it.screen.settings, service, None)
    yield PersonasScreen(it.screen.settings, service.store, None)
    yield ModelsScreen(it.app.shelf, it.app.adding, service.model, str)
    yield LibrariesScreen(service.store, service.refresher, "")
    yield HelpScreen(it.screen.keys)
    yield ConfirmScreen(LONG, "Delete")
    yield ChoiceScreen("What is to be asked of a text?", [f"label {n}" for n in range(30)])
    yield LineScreen("A new name for this chat", "Who are you?")
    yield TextScreen("Change the question; Enter sends it as a branch", "Who are\nyou?\n" * 20)
    yield PathScreen("Judge a text, an .eml file, an mbox, or a Maildir:", (), "/")
    yield LogScreen(it.app.paths.logs)
    yield VoteScreen(pairs)


async def shown(it, screen: Screen) -> None:
    it.app.push_screen(screen)
    await it.until(lambda: it.app.screen is screen and screen.is_mounted)
    for _ in range(3):
        await it.pilot.pause()


@SMALL
async def test_no_dialog_is_cut(opened, size) -> None:
    async with opened(size) as it:
        for screen in dialogs(it):
            await shown(it, screen)
            assert not cut(screen), type(screen).__name__
            it.app.pop_screen()
            await it.pilot.pause()


@pytest.mark.parametrize("size", [(1, 1), (30, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_in_the_smallest_window_all_opens_and_is_there_when_it_grows(opened, size) -> None:
    async with opened(size) as it:
        for screen in dialogs(it):
            await shown(it, screen)
            it.app.pop_screen()
        await it.pilot.resize_terminal(80, 24)
        await it.pilot.press(*"Hello", "enter")
        await it.until(lambda: it.texts[:1] == ["Hello"])


@SMALL
async def test_settings_can_be_read_and_changed(opened, size) -> None:
    async with opened(size) as it:
        await it.pilot.press("f12")
        await it.until(lambda: isinstance(it.app.screen, SettingsScreen))
        await it.pilot.press("down")
        await it.pilot.pause()
        note = it.app.screen.query_one(".note")
        assert "replies grow in larger steps" in str(note.content)
        assert it.app.screen.region.contains_region(note.region)
        assert it.app.screen.query_one(OptionList).size.height >= 2
        await it.pilot.press("enter")
        assert it.app.config.flag("reduced_motion")
