"""The app through Textual's Pilot, with the fake worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Button, Input, Label, Static

from assistant.screens.help import HelpScreen
from assistant.storage.store import Store
from assistant.widgets.chat_list import ChatList
from assistant.widgets.key_line import KeyLine
from assistant.widgets.message import QuestionView
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import Transcript


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 10)])
async def test_a_question_is_answered_at_any_size(opened, size) -> None:
    async with opened(size) as it:
        await it.ask("Hello")
        assert it.replies == ["You said: **Hello**"]
        assert it.prompt.text == ""
        assert "50 tok/s" in it.status
        assert "▰▱▱▱▱▱ 14/1,024" in it.status
        assert it.screen.query_one(ChatList).display == (size[0] >= 72)
        for widget in (it.prompt, it.screen.query_one(StatusLine), it.screen.query_one(KeyLine)):
            assert widget.region.height >= 1
            assert widget.region.bottom <= size[1]


async def test_first_start_says_what_this_is_in_four_lines(opened) -> None:
    async with opened() as it:
        welcome = it.screen.query_one("#welcome", Static)
        assert len(str(welcome.content).splitlines()) == 4
        assert welcome.content_size.height == 4, "no line is broken at 80 columns"
        await it.ask("Hello")
        assert not it.screen.query("#welcome")


async def test_it_is_there_before_the_model_and_a_question_waits(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow-load")
    async with opened() as it:
        assert "loading" in it.status
        await it.send("Hello")
        await it.until(lambda: any("still loading" in note for note in it.notes))
        await it.until(lambda: it.replies == ["You said: **Hello**"])
        assert "CPU, a fake" in it.status


async def test_stop_keeps_the_partial_reply(opened, data, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened() as it:
        await it.send("Tell me everything")
        await it.until(lambda: "more" in "".join(it.replies))
        await it.send("typed while it speaks")
        assert it.prompt.text == "typed while it speaks", "what is typed meanwhile stays"
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)
        assert any(note.startswith("stopped") for note in it.notes)
        shown = it.replies[0]
    reply = Store(data / "chats.db").history(1)[-1]
    assert reply.status == "stopped"
    assert reply.content.startswith("You said")
    assert reply.content.strip() == shown.strip()


async def test_escape_while_loading_takes_the_question_back_to_rest(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow-load")
    async with opened() as it:
        await it.send("Hello")
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)
        monkeypatch.setenv("FAKE_WORKER", "")
        await it.ask("Again")
        assert it.replies[-1] == "You said: **Again**"


async def test_newline_key_and_enter(opened) -> None:
    async with opened() as it:
        await it.pilot.press("a", "ctrl+j", "b")
        assert it.prompt.text == "a\nb"
        await it.pilot.press("enter")
        await it.until(lambda: it.replies == ["You said: **a\nb**"])


async def test_a_large_paste_comes_in_whole_without_control_characters(opened, data) -> None:
    text = "line with emoji 👩‍👩‍👧 and tab\t.\n" * 6000
    async with opened() as it:
        it.prompt.post_message(events.Paste("\x1b[31m" + text.replace("\n", "\r\n") + "\x00"))
        await it.until(lambda: it.prompt.text != "")
        assert it.prompt.text == "[pasted: 6,000 lines #1]"
        assert it.prompt.whole == "[31m" + text
        await it.pilot.press("enter")
        await it.until(lambda: it.screen._live is None and it.replies != [])
        assert any("all of them sent" in note for note in it.notes)
    assert Store(data / "chats.db").history(1)[0].content == ("[31m" + text).strip("\n")


async def test_an_empty_prompt_is_not_sent(opened) -> None:
    async with opened() as it:
        await it.send("   \n ")
        assert not it.screen.query(QuestionView)
        assert "nothing to send" in it.notified


async def test_new_rename_delete(opened) -> None:
    async with opened() as it:
        await it.ask("First chat")
        await it.pilot.press("ctrl+n")
        await it.ask("Second chat")
        chats = it.screen.query_one(ChatList)
        assert chats.titles == ["Second chat", "First chat"]
        await it.pilot.press("f2")
        await it.pilot.pause()
        it.app.screen.query_one(Input).value = "A better name"
        await it.pilot.press("enter")
        await it.until(lambda: "A better name" in str(it.screen.query_one("#title", Static).content))
        await it.pilot.press("f8")
        await it.pilot.pause()
        await it.pilot.press("n")
        await it.pilot.pause()
        assert len(chats.titles) == 2
        await it.pilot.press("f8")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.until(lambda: len(chats.titles) == 1)
        assert it.screen.query("#welcome")


async def test_search_goes_to_the_chat(opened) -> None:
    async with opened() as it:
        await it.ask("About elephants")
        await it.pilot.press("ctrl+n")
        await it.ask("About mice")
        await it.pilot.press("ctrl+f")
        await it.pilot.pause()
        await it.pilot.press(*"elephants")
        await it.pilot.pause()
        await it.pilot.press("enter")
        await it.until(lambda: it.replies == ["You said: **About elephants**"])


async def test_another_chat_may_be_looked_at_while_a_reply_is_made(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened((120, 40)) as it:
        await it.send("Long one")
        await it.until(lambda: "more" in "".join(it.replies))
        await it.pilot.press("ctrl+n")
        await it.pilot.pause()
        assert it.replies == []
        await it.screen.open_chat(1)
        before = len(it.replies[0])
        await it.until(lambda: len(it.replies[0]) > before + 20)
        assert it.replies[0].startswith("You said: **Long one** more more")
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)


async def test_regenerate(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        await it.pilot.press("f5")
        await it.until(lambda: it.screen._live is None and it.replies == ["You said: **Hello**"])
        assert len(it.app.store._all("SELECT id FROM messages")) == 3


async def test_help_lists_every_key(opened) -> None:
    async with opened((120, 40)) as it:
        await it.pilot.press("f1")
        await it.pilot.pause()
        assert isinstance(it.app.screen, HelpScreen)
        text = " ".join(str(label.content) for label in it.app.screen.query(Label))
        for words in ("Stop the reply", "Begin a new chat", "Ctrl+J", "Search all chats", "All commands"):
            assert words in text
        await it.pilot.press("escape")


async def test_themes_are_remembered(opened) -> None:
    async with opened() as it:
        assert it.app.theme == "homespun-dark"
        await it.pilot.press("ctrl+t")
        await it.pilot.pause()
        assert it.app.theme == "homespun-light"
    async with opened() as it:
        await it.pilot.pause()
        assert it.app.theme == "homespun-light"


async def test_every_command_is_in_the_palette(opened) -> None:
    async with opened() as it:
        titles = {c.title for c in it.app.get_system_commands(it.screen)}
        assert {"Begin a new chat", "Search all chats", "Delete this chat for good", "Theme"} <= titles


async def test_drafts_survive_leaving(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        it.prompt.fill("half a thou")
        await it.pilot.pause()
        await it.pilot.press("ctrl+n")
        it.prompt.fill("unsent and new")
        await it.pilot.pause()
    async with opened() as it:
        assert it.prompt.text == "unsent and new"
        await it.screen.open_chat(1)
        assert it.prompt.text == "half a thou"


async def test_a_model_that_cannot_be_loaded_is_a_sentence_and_the_text_comes_back(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "no-model")
    async with opened() as it:
        await it.until(lambda: "could not be loaded" in it.status)
        assert "cut short" in str(it.screen.query_one("#warning", Static).content)
        await it.ask("My long question")
        assert "cut short" in " ".join(it.notes)
        assert it.prompt.text == "My long question"


async def test_a_worker_that_dies_keeps_the_partial_reply_and_the_next_question_works(
    opened, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("FAKE_WORKER", f"die-once:{tmp_path / 'died'}")
    async with opened() as it:
        await it.ask("Hello")
        assert it.replies == ["You s"]
        assert any("stopped unexpectedly" in note for note in it.notes)
        await it.ask("Again")
        assert it.replies[-1] == "You said: **Again**"


async def test_a_prompt_too_long_is_a_sentence_and_comes_back(opened) -> None:
    async with opened() as it:
        await it.ask("TOO LONG")
        assert any("shorten it" in note for note in it.notes)
        assert it.prompt.text == "TOO LONG"
        it.prompt.fill("")
        await it.ask("short")
        assert it.replies[-1] == "You said: **short**"


async def test_left_out_turns_are_told_of(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "drop")
    async with opened((120, 40)) as it:
        await it.ask("Hello")
        assert "2 oldest messages left out" in it.status


async def test_escape_codes_in_a_reply_are_not_shown(opened) -> None:
    async with opened() as it:
        await it.ask("ESCAPE")
        assert it.replies == ["a]0;evilb"]


async def test_a_data_folder_that_cannot_be_made_leaves_a_chat_in_memory(opened, data: Path) -> None:
    data.write_text("a file stands where the folder should be")
    async with opened() as it:
        assert "in memory only" in str(it.screen.query_one("#warning", Static).content)
        await it.ask("Hello")
        assert it.replies == ["You said: **Hello**"]


async def test_a_disk_that_fills_up_leaves_the_text_in_the_prompt(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        connection = it.app.store._db.conn
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        text = "long text " * 20_000
        await it.send(text)
        assert it.prompt.text == text
        assert "disk is full" in it.notified


async def test_kill_minus_nine_in_mid_reply_loses_at_most_the_last_second(model, data, command) -> None:
    code = f"""
import asyncio, os, pathlib, signal, sys
os.environ["FAKE_WORKER"] = "slow"
from assistant.app import HomespunApp
from assistant.widgets.key_line import KeyLine
from assistant.widgets.prompt import Prompt
async def main():
    app = HomespunApp({str(model)!r}, data_dir=pathlib.Path({str(data)!r}), command={command!r})
    async with app.run_test() as pilot:
        await pilot.pause()
        app.screen.query_one(Prompt).fill("Tell me")
        await pilot.press("enter")
        while not any(m.content for m in app.store.history(1)[1:]):
            await pilot.pause(0.05)
        print(app.service.client._process.pid, file=sys.__stdout__, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL
    question, reply = Store(data / "chats.db").history(1)
    assert question.content == "Tell me"
    assert reply.status == "stopped"
    assert reply.content.startswith("You said: **Tell me**")
    worker, limit = int(told.split()[-1]), time.monotonic() + 5
    while _runs(worker):  # it must not outlive the app
        assert time.monotonic() < limit
        await asyncio.sleep(0.05)


def _runs(process: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        os.kill(process, 0)
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except ProcessLookupError:
        return False
    except OSError:  # no /proc here
        return True


async def test_following_the_reply_stops_when_the_reader_scrolls_up(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened((40, 12)) as it:
        transcript = it.screen.query_one(Transcript)
        await it.send("Go")
        await it.until(lambda: transcript.max_scroll_y > 3)
        await it.until(lambda: transcript.scroll_y >= transcript.max_scroll_y - 1)
        transcript.focus()
        await it.pilot.press("home")
        await it.pilot.pause(0.4)
        assert transcript.scroll_y < transcript.max_scroll_y - 1
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None, 3)


async def test_leaving_in_mid_reply_keeps_all_of_it(opened, data, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened() as it:
        await it.send("Tell me")
        await it.until(lambda: "more more" in "".join(it.replies))
        shown = it.replies[0]
    reply = Store(data / "chats.db").history(1)[-1]
    assert reply.status == "stopped"
    assert reply.content.startswith(shown)


async def test_the_model_comes_back_after_a_failed_load(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "no-model")
    async with opened() as it:
        await it.until(lambda: "could not be loaded" in it.status)
        monkeypatch.setenv("FAKE_WORKER", "")
        await it.ask("Hello")
        assert it.replies == ["You said: **Hello**"]
        assert "CPU, a fake" in it.status
        assert not it.screen.query_one("#warning").display


async def test_a_failure_in_another_chat_leaves_this_prompt_alone(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow-no-model")
    async with opened() as it:
        await it.send("Lost?")
        await it.pilot.press("ctrl+n")
        await it.until(lambda: it.screen._live is None)
        await it.pilot.pause()
        assert it.prompt.text == ""
        await it.screen.open_chat(1)
        assert it.prompt.text == "Lost?", "the question waits as a draft where it was asked"


async def test_bytes_that_are_no_text_are_dropped(opened, data) -> None:
    async with opened() as it:
        it.prompt.post_message(events.Paste("caf\udce9 olé"))
        await it.until(lambda: it.prompt.text != "")
        await it.ask(it.prompt.text)
        assert it.replies == ["You said: **caf olé**"]


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
async def test_the_delete_dialog_shows_its_buttons_at_any_size(opened, size) -> None:
    async with opened(size) as it:
        await it.ask("A chat with quite a long title, for a small terminal")
        await it.pilot.press("f8")
        await it.pilot.pause()
        for button in it.app.screen.query(Button):
            assert it.app.screen.region.contains_region(button.region)
            assert button.parent.parent.content_region.contains_region(button.region)


async def test_titles_take_one_line_in_the_list(opened) -> None:
    async with opened((120, 40)) as it:
        await it.ask("A chat with quite a long title, for a small list")
        chats = it.screen.query_one(ChatList)
        assert chats.virtual_size.height == 3, "the day, the title and its age"


async def test_chats_in_a_read_only_folder_can_be_read_and_the_next_is_in_memory(opened, data, monkeypatch) -> None:
    async with opened() as it:
        await it.ask("From yesterday")
    before = (data / "chats.db").read_bytes()
    monkeypatch.setattr("assistant.paths.os.access", lambda *_: False)  # root may write anywhere, so we pretend
    async with opened() as it:
        assert "read-only" in str(it.screen.query_one("#warning", Static).content)
        await it.screen.open_chat(1)
        assert it.replies == ["You said: **From yesterday**"]
        await it.ask("Today")
        assert it.replies[-1] == "You said: **Today**"
    assert (data / "chats.db").read_bytes() == before
