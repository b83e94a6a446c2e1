"""The chat without a window: real processes on pipes, with the fake worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assistant.storage.store import Store

FAKE = Path(__file__).parent / "fake_worker.py"


@pytest.fixture
def plain(model, data):
    def plain(lines: str, mode: str = "") -> str:
        done = subprocess.run(
            [*COMMAND, "--model", str(model), "--data-dir", str(data)],
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            env=_environment(mode),
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        return done.stdout

    return plain


COMMAND = [sys.executable, "-m", "assistant.cli", "--plain"]


def _environment(mode: str) -> dict[str, str]:
    worker = f"{sys.executable} {FAKE}"
    return {**os.environ, "HOMESPUN_WORKER": worker, "FAKE_WORKER": mode, "PYTHONUNBUFFERED": "1"}


def test_a_chat_line_by_line_is_kept_and_can_be_gone_on_with(plain, data) -> None:
    told = plain("Hello\nTwo\\\nlines\n/temp 0\n/persona bri\nROLES\nESCAPE\n/quit\n")
    assert "homespun: You said: **Hello**\n" in told
    assert "You said: **Two\nlines**" in told
    assert "Temperature: 0  · this chat's" in told
    assert "homespun: system user assistant user assistant user\n" in told
    assert "a]0;evilb" in told
    store = Store(data / "chats.db")
    assert [m.content for m in store.history(1)][:2] == ["Hello", "You said: **Hello**"]
    assert "temperature" in store.chat(1).params
    again = plain("/chats\n/open 1\n/read\n/again\n/new\n/temporary\nsecret\n/chats\n/open 7\n/nothing\n")
    assert "  1 Hello" in again
    assert "You: Hello\nhomespun: You said: **Hello**\n" in again
    assert "You said: **secret**" in again
    assert "  2 " not in again, "the temporary one is in no list"
    assert "(Say which: /open NUMBER" in again
    assert "(There is no command /nothing here" in again


def test_chats_and_settings_leave_in_an_archive_and_come_back(plain, data, tmp_path) -> None:
    data.mkdir()
    settings = data / "settings.toml"
    settings.write_text("# mine\nvim_keys = true\n")
    told = plain(f"/export {tmp_path}/no.md\nHello\n/export {tmp_path}/one.md\n/export {tmp_path}/all.zip\n/export\n")
    assert "(There is no chat to export yet." in told
    assert f"(The chat is in {tmp_path}/one.md.)" in told
    assert f"(1 chat written to {tmp_path}/all.zip.)" in told
    assert "(Say where to: /export FILE.zip" in told
    assert (tmp_path / "one.md").read_text().startswith("# Hello")
    settings.write_text("fold_pastes = 3\n")
    told = plain(f"/import {tmp_path}/all.zip\n")
    assert "1 chat was here already. Its settings were left out: yours stay. /import" in told
    assert settings.read_text() == "fold_pastes = 3\n"
    assert "yours are kept in" in plain(f"/import {tmp_path}/all.zip --settings\n")
    assert settings.read_text() == "# mine\nvim_keys = true\n"
    assert (data / "settings.toml.before").read_text() == "fold_pastes = 3\n"
    settings.unlink()
    assert "The settings are the archive's now.)" in plain(f"/import {tmp_path}/all.zip\n")
    assert settings.read_text() == "# mine\nvim_keys = true\n"


def test_a_model_that_cannot_be_loaded_is_a_sentence(plain) -> None:
    assert "(The weights cannot be read: the file is cut short.)" in plain("Hello\n", "no-model")


def test_interrupting_stops_the_reply_and_not_the_chat(model, data) -> None:
    command = [*COMMAND, "--model", str(model), "--data-dir", str(data)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment("slow")
    ) as chat:
        chat.stdin.write("First\n")
        chat.stdin.flush()
        seen = ""
        while not seen.endswith("\nhomespun: "):
            seen += chat.stdout.read(1)
            assert chat.poll() is None
        store, limit = Store(data / "chats.db"), time.monotonic() + 30
        while not any(m.content for m in store.history(1)[1:]):
            assert time.monotonic() < limit
            time.sleep(0.05)
        chat.send_signal(signal.SIGINT)
        told, _ = chat.communicate("/quit\n", timeout=30)
    assert "(stopped; /continue goes on)" in told
    assert chat.returncode == 0
    assert Store(data / "chats.db").history(1)[-1].status == "stopped"
