"""The doctor: what is ill is named, with what to do about it; what is well is left as it is."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from assistant.doctor import chats, machine, models
from assistant.doctor.commands import examine
from assistant.doctor.findings import Finding
from assistant.models.shelf import Shelf
from assistant.paths import Paths
from assistant.storage.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = Store(tmp_path / "chats.db")
    for number in range(40):
        _, _, reply = store.begin_turn(None, f"question {number} " + "word " * 50, "a title", "m")
        store.finish(reply, "an answer " * 50, "complete")
    store.close()
    return tmp_path / "chats.db"


def levels(findings) -> set[str]:
    return {finding.level for finding in findings}


def problem(findings) -> Finding:
    (found,) = [finding for finding in findings if finding.level == "problem"]
    assert found.advice
    return found


def test_a_healthy_file_is_called_so_and_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    found = list(chats.chats(path))
    assert levels(found) == {"good"}
    assert "40 chats with 80 messages" in found[0].said
    assert path.read_bytes() == before


def test_an_index_that_does_not_fit_is_found_and_made_anew(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO messages_fts(messages_fts, rowid, content) VALUES ('delete', 1, 'question 0 word')")
    assert "--rebuild-index" in problem(chats.chats(path)).advice
    assert chats.rebuild_index(path).level == "good"
    assert levels(chats.chats(path)) == {"good"}


def test_a_damaged_file_is_found_and_its_backup_named(path: Path) -> None:
    (path.parent / "chats.before-m009.db").write_bytes(b"")
    raw = bytearray(path.read_bytes())
    raw[4096 * 4 : 4096 * 6] = os.urandom(8192)
    path.write_bytes(raw)
    found = problem(chats.chats(path))
    assert "damaged" in found.said
    assert ".recover" in found.advice
    assert "chats.before-m009.db" in found.advice


def test_what_is_no_database_of_ours(path: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no database at all " * 100)
    assert "damaged" in problem(chats.chats(tmp_path / "noise")).said
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch(mode=0o600)
    assert "no file of homespun's" in problem(chats.chats(tmp_path / "empty.db")).said
    assert levels(chats.chats(tmp_path / "nothing.db")) == {"note"}


def test_a_file_that_others_may_read_and_one_that_is_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o644)
    assert "chmod 600" in next(f for f in chats.chats(path) if f.level == "warning").advice
    monkeypatch.setattr(chats, "WAIT", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert any("Another program" in finding.said for finding in chats.chats(path))


def test_a_model_whose_weights_changed(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    sums = {"model.safetensors": hashlib.sha256(b"weights").hexdigest()}
    (folder / "homespun.json").write_text(json.dumps({"sha256": sums}))
    shelf = Shelf(Paths(tmp_path))
    assert levels(models.models(shelf)) == {"good"}
    (folder / "model.safetensors").write_bytes(b"weightz")
    assert "models remove mine" in problem(models.models(shelf)).advice
    assert levels(models.models(shelf, hashes=False)) == {"good"}
    (folder / "model.safetensors").unlink()
    assert "no weights" in problem(models.models(shelf)).said


def test_terminals() -> None:
    good = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    assert "16 million" in next(iter(machine.terminal(good, tty=True))).said
    assert problem(machine.terminal({"TERM": "dumb"}, tty=True))
    assert "warning" in levels(machine.terminal({"TERM": "xterm"}, tty=True))
    assert any("tmux" in f.said for f in machine.terminal({**good, "TMUX": "x"}, tty=True))


def test_a_package_of_the_same_name_is_a_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(machine.packages()) == {"good"}
    monkeypatch.setattr(machine.metadata, "packages_distributions", lambda: {"engine": ["homespun", "engine-cms"]})
    assert "engine-cms" in problem(machine.packages()).said
    monkeypatch.undo()
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert str(tmp_path) in problem(machine.packages()).said


def test_no_room_and_no_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "problem" not in levels(machine.disk(Paths(tmp_path / "not made yet")))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    assert "problem" in levels(machine.disk(Paths(tmp_path)))
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert all("read-only" in finding.said for finding in machine.disk(Paths(tmp_path)))


def test_an_engine_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "executable", "/bin/false")
    assert "torch" in problem(machine.engine()).advice


def test_the_command_and_its_statuses(path: Path) -> None:
    assert levels(examine(Paths(path.parent), quick=True)) <= {"good", "note", "warning"}
    command = [sys.executable, "-m", "assistant.cli", "--data-dir", str(path.parent), "doctor", "--quick"]
    environment = os.environ | {"TERM": "xterm-256color"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything works." in done.stdout
    path.write_bytes(b"no database at all " * 100)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert {"level", "about", "said", "advice"} == set(json.loads(done.stdout)[0])
