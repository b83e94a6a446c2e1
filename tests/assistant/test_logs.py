"""The logs: they rotate, they say what happened and never what was said, and the log screen shows them."""

from __future__ import annotations

import stat
from pathlib import Path

from textual.widgets import TextArea

from assistant import logs
from assistant.screens.logs import LogScreen


def test_logs_rotate_and_are_private(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 1000)
    logs.begin(tmp_path / "state" / "logs")
    for number in range(200):
        logs.LOG.info("something happened, number %d", number)
    logs.end()
    files = sorted((tmp_path / "state" / "logs").iterdir())
    assert [file.name for file in files] == ["homespun.log", *(f"homespun.log.{n}" for n in (1, 2, 3))]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    assert "number 199" in files[0].read_text()


def test_the_engines_log_rotates_before_it_is_opened(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 10)
    for number in range(6):
        (tmp_path / "engine.log").write_text(f"{number} is more than ten bytes")
        logs.rotate(tmp_path / "engine.log")
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"engine.log.{n}" for n in (1, 2, 3)]
    assert (tmp_path / "engine.log.1").read_text().startswith("5")


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    logs.begin(tmp_path / "file" / "logs")
    logs.LOG.error("nobody hears this")
    logs.end()


def test_the_end_of_a_log_is_fit_for_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first\n" + b"x" * 50 + b"\nlast \x1b[31m\xff line\n")
    assert logs.tail(tmp_path / "log", 30) == "last [31m� line\n"
    assert logs.tail(tmp_path / "nothing") == ""


async def test_the_log_screen(opened, data: Path) -> None:
    async with opened((120, 40)) as it:
        await it.ask("a secret word: zanzibar")
        it.app.notify("Something [/odd] is wrong", severity="error")
        titles = {command.title: command for command in it.app.get_system_commands(it.screen)}
        titles["Show the logs"].callback()
        await it.pilot.pause()
        assert isinstance(it.app.screen, LogScreen)
        area = it.app.screen.query_one(TextArea)
        assert "fake is loaded" in area.text
        assert "Something [/odd] is wrong" in area.text
        await it.pilot.press("tab")
        assert "Nothing has been logged" in area.text
        await it.pilot.press("escape")
    for file in (data / "logs").iterdir():
        assert "zanzibar" not in file.read_text()
