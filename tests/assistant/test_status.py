"""The status line, and what an empty, a loading, a failed and a full chat look like."""

from __future__ import annotations

import re

from textual.widgets import OptionList, Static

from assistant.widgets.chat_list import ChatList
from assistant.widgets.status import bar
from assistant.widgets.transcript import Transcript
from assistant.widgets.welcome import EXAMPLES, Examples


def test_the_bar() -> None:
    assert bar(0, 1024) == "▱▱▱▱▱▱"
    assert bar(1, 1024) == "▰▱▱▱▱▱", "something is in it"
    assert bar(1024, 1024) == bar(5000, 1024) == "▰▰▰▰▰▰"
    assert bar(5, 0) == "▱▱▱▱▱▱"


async def test_the_status_is_that_of_the_chat_on_screen(opened) -> None:
    async with opened((120, 30)) as it:
        await it.ask("Hello")
        assert it.status == "fake  ·  50 tok/s, first in 0.1 s  ·  ▰▱▱▱▱▱ 14/1,024  ·  CPU, a fake"
        await it.pilot.press("ctrl+n")
        await it.pilot.pause()
        assert it.status == "fake  ·  ▱▱▱▱▱▱ 0/1,024  ·  CPU, a fake"
        await it.screen.open_chat(1)
        assert "50 tok/s" in it.status
        assert "14/1,024" in it.status


async def test_where_older_turns_were_dropped_is_a_line_in_the_chat(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "drop")
    async with opened((120, 40)) as it:
        await it.ask("One")
        await it.ask("Two")
        rule = it.screen.query_one(".rule", Static)
        assert "no longer sees the 2 messages above" in str(rule.content)
        views = [type(child).__name__ for child in it.screen.query_one(Transcript).children]
        assert views == ["QuestionView", "ReplyView", "Static", "QuestionView", "ReplyView"]
        await it.screen.open_chat(None)
        await it.screen.open_chat(1)
        assert "2 oldest messages left out" in it.status


async def test_an_example_is_asked_by_enter(opened) -> None:
    async with opened() as it:
        await it.pilot.press("down")
        await it.until(lambda: it.screen.query_one(Examples).has_focus)
        await it.pilot.press("up")
        await it.until(lambda: it.prompt.has_focus)
        await it.pilot.press("down", "down", "enter")
        await it.until(lambda: it.texts[:1] == [EXAMPLES[1]] and it.screen._live is None)
        assert it.prompt.has_focus


async def test_empty_lists_say_so(opened) -> None:
    async with opened((120, 40)) as it:
        shown = it.screen.query_one(ChatList)

        def line() -> str:
            return str(shown.get_option_at_index(0).prompt)

        assert line() == "No chats yet"
        await it.pilot.press("f10")
        assert line() == "The archive is empty"
        await it.pilot.press("f10")
        await it.ask("Rain")
        it.screen.query_one("#filter").value = "snow"
        await it.until(lambda: line() == "No title has these words")


async def test_no_color_is_obeyed_and_what_is_selected_can_still_be_told(opened, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened() as it:
        assert it.app.no_color
        await it.pilot.press("f12")
        await it.until(lambda: bool(it.app.screen.query(OptionList)))
        await it.pilot.pause()
        svg = it.app.export_screenshot()
    colours = set(re.findall(r"#([0-9a-f]{6})", svg))
    grey = {c for c in colours if c[:2] == c[2:4] == c[4:]}
    window = {"ff5f57", "febc2e", "28c840", "c5c8c6"}  # what Rich draws around every picture
    assert colours - grey <= window
