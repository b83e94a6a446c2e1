"""How the chat looks: from its first start on, and with everything that opens above it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import Label, OptionList

from assistant.screens.chat.chat_settings import ChatSettingsScreen, PersonasScreen
from assistant.screens.chat.search import SearchScreen
from assistant.screens.dialogs import ChoiceScreen, ConfirmScreen, LineScreen, TextScreen
from assistant.screens.help import HelpScreen
from assistant.screens.logs import LogScreen
from assistant.screens.path import PathScreen
from assistant.screens.working import WorkingScreen
from tests.assistant.album import SIZES, Album
from tests.assistant.test_settings import choose

QUESTION = "Delete “Who are you?” for good? Its text is overwritten on disk."


async def palette(it: Album) -> None:
    await it.back()
    await it.pilot.press("ctrl+p")
    await it.shows(CommandPalette)
    await it.pilot.press(*"copy")
    await it.until(lambda: it.app.screen.query_one(OptionList).option_count == 3)


@pytest.mark.slow
@SIZES
async def test_the_chat_and_its_messages(album, size, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nBuy bread.\n")
    async with album(size) as it:
        await it.take("first_start")
        await it.pilot.press("down")
        await it.take("first_start_examples")
        await it.pilot.press("up")
        await it.ask("Hello, who are you?")
        await it.take("chat")
        await it.ask("CODE")
        await it.take("code")
        await it.pilot.press("f5")
        await it.until(lambda: it.screen._live is None)
        await it.pilot.press("shift+tab", "k", "k", "k")
        await it.take("selected")
        await it.pilot.press("escape", "/")
        await it.take("commands")
        await it.pilot.press("backspace", *"What is in @no")
        await it.until(lambda: bool(it.screen.query_one("#completions", OptionList).option_count))
        await it.take("attaching")


@SIZES
@pytest.mark.parametrize("mode", ["slow-no-model", "drop"])
async def test_a_model_that_loads_or_fails_and_a_chat_that_is_too_long(album, size, mode, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", mode)
    async with album(size, wait=mode == "drop") as it:
        if mode == "drop":
            await it.ask("Hello")
            await it.take("oldest_left_out")
        else:
            await it.take("loading")
            await it.until(lambda: "could not be loaded" in it.status)
            await it.take("no_model")


@pytest.mark.slow
@SIZES
async def test_what_opens_above_the_chat(album, size, tmp_path: Path) -> None:
    async with album(size) as it:
        await it.ask("Hello, who are you?")
        await it.pilot.press("ctrl+f")
        await it.shows(SearchScreen)
        await it.pilot.press(*"hello")
        await it.take("search")
        await it.back()
        await it.pilot.press("f1")
        await it.shows(HelpScreen)
        await it.take("help")
        await it.back()
        await it.take("palette", lambda: palette(it))
        await it.back()
        await it.pilot.press("ctrl+r")
        await it.shows(ChatSettingsScreen)
        await it.take("chat_settings")
        await choose(it, "Persona")
        await it.shows(PersonasScreen)
        await it.take("personas")
        await it.back()
        await it.above("logs", LogScreen(Path("/no/such/folder")))


@SIZES
async def test_the_dialogs(album, size, tmp_path: Path) -> None:
    for name in ("archive.mbox", "letter.eml", "picture.png"):
        (tmp_path / "mails").mkdir(exist_ok=True)
        (tmp_path / "mails" / name).touch()
    go_on = threading.Event()

    def job(step) -> None:
        step(1234)
        go_on.wait()

    async with album(size) as it:
        await it.ask("Hello, who are you?")
        await it.above("confirm", ConfirmScreen(QUESTION, "Delete"))
        await it.above("choice", ChoiceScreen("What is it?", ["praise", "complaint", "a question"]))
        await it.above("rename", LineScreen("A new name for this chat", "Who are you?"))
        await it.above("edit", TextScreen("Change the question; Enter sends it as a branch", "Who are\nyou?"))
        await it.above("path", PathScreen("Judge a text, an .eml file, an mbox, or a Maildir:", (), "mails/"))
        working = WorkingScreen("Writing everything to ~/everything.zip", "chats", job)
        await it.back()
        it.app.push_screen(working)
        await it.shows(WorkingScreen)
        await it.until(lambda: "1,234" in str(working.query_one("#progress", Label).content))
        await it.take("working")
        go_on.set()
