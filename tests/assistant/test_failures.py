"""What goes wrong around the app while it is open: each time a sentence, nothing typed is lost, and on it goes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from textual import events
from textual.command import CommandPalette
from textual.widgets import OptionList, Static

from assistant.app import HomespunApp
from assistant.engine_client import worker_command
from assistant.screens.dialogs import LineScreen
from assistant.screens.help import HelpScreen
from assistant.steady import FLOOD
from assistant.storage.store import Store
from engine.catalog import BUNDLED, DEFAULT_MODEL
from tests.assistant.driver import Driver
from tests.assistant.terminal import Terminal


@contextmanager
def held(path: Path):
    """Another program has the database for itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def full(store: Store, pages: int | None = None) -> None:
    """No room for another page, or room again."""
    connection = store._db.conn
    pages = pages or connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


async def test_a_locked_database_is_a_sentence_everywhere_and_later_all_is_there(opened, data) -> None:
    async with opened((120, 40)) as it:
        await it.ask("Hello")
        it.app.store._db.conn.execute("PRAGMA busy_timeout = 20")
        with held(data / "chats.db"):
            await it.send("Not stored yet")
            assert it.prompt.text == "Not stored yet"
            assert "busy in another program" in it.notified
            await it.until(lambda: "What you type is kept in memory" in it.notified)
            for key in ("f7", "f9", "ctrl+n"):
                await it.pilot.press(key)
            await it.screen.open_chat(1)
            assert it.prompt.text == "Not stored yet", "the draft that could not be saved is still the chat's"
            it.screen.action_rename()
            await it.pilot.pause()
            await it.pilot.press(*"New name", "enter")
            await it.pilot.pause()
        assert it.app.is_running
        it.screen.save_draft()
        assert it.app.store.draft(1) == "Not stored yet"
        await it.pilot.press("enter")
        await it.until(lambda: len(it.replies) == 2 and it.screen._live is None)


async def test_a_reply_that_ends_on_a_full_disk_is_kept_and_stored_when_there_is_room(
    opened, data, monkeypatch
) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened((120, 40)) as it:
        await it.send("Tell me")
        full(it.app.store)
        monkeypatch.setattr(it.app.store, "flush", lambda *_: None)
        await it.until(lambda: "more more" in "".join(it.replies))
        big = "x" * 200_000
        finish = it.app.store.finish
        monkeypatch.setattr(it.app.store, "finish", lambda m, text, *a, **k: finish(m, text + big, *a, **k))
        await it.pilot.press("escape")
        await it.until(lambda: "kept in memory" in it.notified)
        assert it.app.store.history(1)[-1].status == "streaming"
        assert "more more" in it.texts[-1]
        await it.screen.open_chat(None)
        await it.screen.open_chat(1)
        assert "more more" in it.replies[0], "it is shown again, though it is in no file yet"
        full(it.app.store, 100_000)
        await it.until(lambda: it.app.store.history(1)[-1].status == "stopped")
    assert "more more" in Store(data / "chats.db").history(1)[-1].content


async def test_a_disk_that_becomes_read_only_is_a_sentence(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        it.app.store._db.conn.execute("PRAGMA query_only = ON")  # what a read-only mount does, for root too
        await it.send("And now?")
        assert it.prompt.text == "And now?"
        assert "read-only" in it.notified
        it.app.store._db.conn.execute("PRAGMA query_only = OFF")
        await it.pilot.press("enter")
        await it.until(lambda: len(it.replies) == 2)


async def test_a_terminal_of_one_cell_and_back(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened() as it:
        await it.send("Hello")
        for size in ((1, 1), (200, 3), (3, 60), (1, 1)):
            await it.pilot.resize_terminal(*size)
            await it.pilot.pause()
            await it.pilot.press("f1")
            await it.pilot.pause()
            assert isinstance(it.app.screen, HelpScreen)
            await it.pilot.press("escape")
        await it.pilot.resize_terminal(80, 24)
        await it.pilot.pause()
        await it.until(lambda: "more" in "".join(it.replies))
        assert it.prompt.region.width > 40
        await it.pilot.press("escape")
        await it.until(lambda: it.screen._live is None)


async def test_text_like_markup_in_a_notification_is_text(opened) -> None:
    async with opened() as it:
        it.app.notify("[/nothing] \x1b]0;title\x07 [@click=app.quit]x[/]", severity="error")
        await it.pilot.pause()
        assert "[/nothing] ]0;title [@click=app.quit]x[/]" in it.notified


@pytest.mark.slow
async def test_a_model_folder_that_is_deleted_while_in_use(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "copied"
    shutil.copytree(BUNDLED / DEFAULT_MODEL, folder)
    app = HomespunApp(str(folder), data_dir=data, command=worker_command())
    async with app.run_test(size=(120, 40)) as pilot:
        it = Driver(app, pilot)
        await it.until(lambda: app.service.client.loaded, 60)
        shutil.rmtree(folder)
        await it.send("Hello!")
        await it.until(lambda: it.screen._live is None, 60)
        assert it.replies[0], "it is in memory"
        process = app.service.client._process
        os.kill(process.pid, signal.SIGKILL)
        await it.until(lambda: process.returncode is not None)
        await it.send("Hello again!")
        await it.until(lambda: it.screen._live is None, 60)
        await pilot.pause()
        said = " ".join([*it.notes, it.notified, str(it.screen.query_one("#warning", Static).content)])
        assert "copied" in said
        assert "Traceback" not in said
        await it.screen.use(app.shelf.find(DEFAULT_MODEL))
        await it.until(lambda: app.service.client.loaded, 60)
        await it.send("And now?")
        await it.until(lambda: it.screen._live is None, 60)
        assert it.replies[-1]


READ_ONLY = (
    'mount --bind "$HOMESPUN_DATA_DIR" "$HOMESPUN_DATA_DIR" && mount -o remount,ro,bind "$HOMESPUN_DATA_DIR" && "$@"'
)


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0,
    reason="a folder that is read-only for root too takes a mount namespace",
)
def test_a_home_that_really_is_read_only(data: Path) -> None:
    with Terminal(data) as terminal:
        terminal.begin()
        terminal.type("Yesterday\r")
        terminal.shows("You said: Yesterday")
        assert terminal.leave() == 0
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with Terminal(data, through=("unshare", "-m", "sh", "-c", READ_ONLY, "sh")) as terminal:
        terminal.begin()
        terminal.shows("read-only")
        terminal.type("Today\r")
        terminal.shows("You said: Today")
        assert terminal.leave() == 0
        assert b"Traceback" not in terminal.raw
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


async def test_a_mistake_is_logged_and_told_and_the_window_stays(opened, data, monkeypatch) -> None:
    def mistaken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    async with opened() as it:
        it.app.outlives = True  # as outside of tests
        monkeypatch.setattr(it.screen, "action_help", mistaken)
        await it.pilot.press("f1")
        await it.until(lambda: "Something went wrong" in it.notified)
        monkeypatch.setattr(type(it.prompt), "_on_paste", mistaken)  # a widget's own handler: its loop goes on
        it.prompt.post_message(events.Paste("lost"))
        await it.pilot.pause()
        await it.ask("Hello")
        assert it.replies == ["You said: **Hello**"]
        assert (data / "logs" / "homespun.log").read_text().count("ZeroDivisionError: ours") == 2


async def test_a_flood_of_mistakes_ends_it(opened, monkeypatch) -> None:
    def mistaken() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # it comes out when the app has ended
        async with opened() as it:
            it.app.outlives = True
            monkeypatch.setattr(it.screen, "action_help", mistaken)
            for _ in range(FLOOD):
                await it.pilot.press("f1")


async def test_a_second_click_or_enter_closes_nothing_else(opened) -> None:
    async with opened() as it:
        chat = it.app.screen
        await it.pilot.press("ctrl+p")
        await it.until(lambda: isinstance(it.app.screen, CommandPalette))
        palette = it.app.screen
        for _ in range(3):
            palette.dismiss()
        await it.until(lambda: it.app.screen is chat)
        answers: list[str | None] = []
        it.app.push_screen(below := LineScreen("A name", "one"), answers.append)
        it.app.push_screen(above := LineScreen("Another", "two"))
        await it.until(lambda: above.is_mounted)
        below.dismiss("one")  # waits until what is above has gone
        await it.pilot.pause()
        assert it.app.screen is above
        above.dismiss(None)
        await it.until(lambda: it.app.screen is chat)
        assert answers == ["one"]


async def test_a_list_that_is_paged_before_it_is_laid_out_stays_where_it_is(opened) -> None:
    class Late(OptionList):
        def on_mount(self) -> None:
            self.highlighted = 1
            self.action_page_down()

    async with opened() as it:
        late = Late("one", "two")
        await it.screen.mount(late)
        assert late.highlighted == 1
        await it.pilot.pause()
        late.action_page_up()
        assert late.highlighted == 0


async def test_the_palette_is_not_opened_above_itself(opened) -> None:
    async with opened() as it:
        await it.pilot.press("ctrl+p")
        await it.until(lambda: isinstance(it.app.screen, CommandPalette))
        await it.app.push_screen(HelpScreen([]))
        it.app.action_command_palette()
        await it.pilot.pause()
        assert [type(screen) for screen in it.app.screen_stack[1:]] == [CommandPalette, HelpScreen]
