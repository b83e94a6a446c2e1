"""The list of chats, temporary ones, and two windows on one database."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from textual.widgets import Input, OptionList, Static

from assistant.chat_groups import grouped
from assistant.storage.rows import Chat
from assistant.storage.store import TEMPORARY, Store
from assistant.text import title_of
from assistant.widgets.chat_list import ChatList

CHAT = Chat(1, "Rain in May", "m", "", "{}", "", None, "", "2026-05-20T10:00:00+00:00", False, False, False)


def listed(it) -> list[str]:
    return it.screen.query_one(ChatList).titles


def heading(it) -> str:
    return str(it.screen.query_one("#title", Static).content)


def test_grouping_by_day() -> None:
    now = datetime(2026, 5, 20, 12, tzinfo=UTC)
    days = ["2026-05-20", "2026-05-19", "2026-05-15", "2026-05-01", "2025-05-01"]
    chats = [CHAT._replace(id=i, updated=f"{day}T10:00:00+00:00") for i, day in enumerate(days, 1)]
    chats += [CHAT._replace(id=9, pinned=True), CHAT._replace(id=TEMPORARY + 1)]
    names = [name for name, _ in grouped(chats, now=now)]
    assert names == ["Temporary", "Pinned", "Today", "Yesterday", "Friday", "May", "May 2025"]
    assert grouped(chats, "may RAIN", now) == grouped(chats, "", now)
    assert grouped(chats, "snow", now) == []


def test_titles_from_the_first_exchange() -> None:
    assert title_of("Hello there, why is the sky blue?", "Because.") == "Why is the sky blue?"
    assert title_of("Hi!", "Hello, I am homespun. What now?") == "Hi! – Hello, I am homespun."
    assert title_of("Why?", "") == "Why?"
    assert title_of("\n\nplease write a poem\nabout rain", "x") == "Write a poem"


async def test_pin_archive_and_filter(opened) -> None:
    async with opened((120, 40)) as it:
        await it.ask("Elephants")
        await it.screen.action_new_chat()
        await it.ask("Mice")
        await it.screen.open_chat(1)
        await it.pilot.press("f7")
        assert listed(it) == ["Elephants", "Mice"]
        assert "pinned" in heading(it)
        await it.pilot.press("f9")
        assert listed(it) == ["Mice"]
        await it.pilot.press("f10")
        assert listed(it) == ["Elephants"]
        await it.pilot.press("f9", "f10")
        it.screen.query_one("#filter", Input).value = "mi"
        await it.pilot.pause()
        assert listed(it) == ["Mice"]


async def test_a_temporary_chat_is_in_no_file(opened, data) -> None:
    async with opened((120, 40)) as it:
        await it.ask("Written")
        await it.pilot.press("ctrl+g")
        await it.pilot.press(*"zanzibar", "enter")
        await it.until(lambda: len(it.replies) == 1 and it.screen._live is None and "zanzibar" in it.replies[0])
        assert "never written" in heading(it)
        it.prompt.fill("zanzibar draft")
        await it.pilot.pause(0.7)
        await it.ask("more zanzibar")
        assert len(it.texts) == 4
        await it.screen.open_chat(1)
        assert it.texts[0] == "Written"
        assert "zanzibar" in listed(it)[0].lower()
        for file in data.glob("chats.db*"):
            assert b"anzibar" not in file.read_bytes(), file
    async with opened((120, 40)) as it:
        assert listed(it) == ["Written"]


@pytest.mark.parametrize("begun", [False, True])
async def test_what_another_window_sends_or_types_takes_nothing_typed_here_away(opened, data, begun: bool) -> None:
    async with opened((120, 40)) as it:
        if begun:
            await it.ask("Mine")
        here = it.screen.chat
        it.prompt.fill("half a thought")
        await it.until(lambda: it.app.store.draft(here) == "half a thought")
        with closing(Store(data / "chats.db")) as other:
            other.begin_turn(here, "theirs, sent", "Theirs", "m", draft="theirs, sent")
            assert other.draft(here) == "half a thought"
            other.save_draft(here, "", "theirs")
            assert other.draft(here) == "half a thought"
            other.save_draft(here, "theirs, typed")
        await it.screen.open_chat(1)
        await it.screen.open_chat(here)
        assert it.prompt.text == "half a thought"
        it.prompt.fill("")
        await it.until(lambda: it.app.store.draft(here) == "")


OTHER_WINDOW = """
import sys, time
from pathlib import Path
from assistant.storage.store import Store
store = Store(Path(sys.argv[1]))
chat, _, reply = store.begin_turn(None, "from the other window", "Other", "m")
print(chat, flush=True)
sys.stdin.readline()
store.finish(reply, "whole", "complete")
print("done", flush=True)
sys.stdin.readline()
"""


async def test_two_windows_see_each_other_within_a_second_and_a_reply_elsewhere_is_busy(opened, data) -> None:
    async with opened((120, 40)) as it:
        await it.ask("Mine")
        command = [sys.executable, "-c", OTHER_WINDOW, str(data / "chats.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            chat = int(other.stdout.readline())
            began = time.monotonic()
            await it.until(lambda: listed(it) == ["Other", "Mine"], 5)
            assert time.monotonic() - began < 3, "a second, and some for a busy machine"
            assert "busy" in str(it.screen.query_one(ChatList).get_option(str(chat)).prompt)
            await it.screen.open_chat(chat)
            await it.send("May I?")
            assert it.prompt.text == "May I?"
            assert "another window" in it.notified
            other.stdin.write("\n")
            other.stdin.flush()
            await it.until(lambda: it.replies == ["whole"], 5)
            other.stdin.write("\n")


async def test_a_window_that_was_killed_leaves_its_reply_stopped(opened, data) -> None:
    async with opened((120, 40)) as it:
        command = [sys.executable, "-c", OTHER_WINDOW, str(data / "chats.db")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            chat = int(other.stdout.readline())
            await it.screen.open_chat(chat)
            other.kill()
        await it.until(lambda: it.screen.history()[-1].status == "stopped", 5)


async def test_search_jumps_to_the_message_also_on_another_branch(opened) -> None:
    async with opened((120, 40)) as it:
        await it.ask("I don't like rain")
        await it.screen.action_again()
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        it.app.store.flush(2, "an old elephant")
        await it.pilot.press("ctrl+f")
        await it.pilot.pause()
        await it.pilot.press(*"elephant")
        await it.pilot.pause()
        await it.pilot.press("enter")
        await it.until(lambda: it.texts[-1] == "an old elephant")
        await it.until(lambda: it.transcript.selected == 2)


async def test_what_was_found_stands_out_and_marks_of_markdown_do_not_stand_there(opened) -> None:
    async with opened() as it:
        await it.ask("## A **bold** `cat` « sat » on 2*3 mats")
        await it.pilot.press("ctrl+f", *"sat")
        await it.pilot.pause()
        line = it.app.screen.query_one(OptionList).get_option_at_index(0).prompt
        assert "A bold cat « sat » on 2*3 mats" in line.plain
        assert [line.plain[span.start : span.end] for span in line.spans if "underline" in str(span.style)] == ["sat"]
