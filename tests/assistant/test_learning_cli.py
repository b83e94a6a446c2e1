"""`homespun train`: options made of the fields, preview, start, list, pause, adopt, back; errors in a sentence."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant import cli
from assistant.learning import looking, runs
from assistant.storage.store import Store
from assistant.storage.verdicts import SPAM_TASK
from engine.email_text.normalise import VERSION
from tests.assistant.test_learning import FAKE


@pytest.fixture
def homespun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command line with a data folder of its own, and fake training processes."""
    monkeypatch.setattr(looking.Child.__init__, "__kwdefaults__", {"command": tuple(FAKE)})
    real = runs.Runs.__init__
    monkeypatch.setattr(runs.Runs, "__init__", lambda self, paths, command=None: real(self, paths, FAKE))

    def run(*words: str, **more: str) -> Result:
        return CliRunner().invoke(cli.main, ["--data-dir", str(tmp_path / "data"), "train", *words], **more)

    (tmp_path / "facts.csv").write_text("question,answer\nWho?,Me.\n")
    return run


def test_a_run_is_previewed_started_followed_adopted_and_taken_back(homespun, tmp_path: Path) -> None:
    facts = str(tmp_path / "facts.csv")
    said = homespun("answers", facts, "--preview").output
    assert "facts.csv, line 2: What?« Velmora»" in said
    assert "LEFT OUT (no answer)" in said
    assert "About 1 min 1 s (9 steps" in said
    assert homespun().output.startswith("Nothing has been trained yet")
    said = homespun("answers", facts, "--name", "boats", "--epochs", "3", "--no-replay", "--yes").output
    assert "taught questions answered right: 0 % before, 95 % now" in said
    (folder,) = (p for p in (tmp_path / "data" / "runs").iterdir() if not p.name.startswith("."))
    wish = json.loads((folder / "wish.json").read_text())
    assert (wish["name"], wish["epochs"], wish["replay"], wish["base"]) == ("boats", 3.0, False, "homespun-v0")
    assert "done: taught questions answered right" in homespun("list").output
    assert "new: Velmora." in homespun("show", "boats").output
    assert "boats is the default now" in homespun("adopt").output
    assert "└─ boats" in homespun("tree").output
    assert homespun("rollback").output == "homespun-v0 is the default again.\n"
    assert "are free again" in homespun("prune").output
    assert homespun("cancel", "boats", "--yes").output.endswith("was deleted.\n")


def test_the_spam_check_is_corrected_compared_adopted_and_taken_back(homespun, tmp_path: Path) -> None:
    said = homespun("spam", "--yes")
    assert said.exit_code == 2
    assert "no corrections to learn from yet" in said.output
    store = Store(tmp_path / "data" / "chats.db")
    values = {
        "name": "",
        "subject": "",
        "sender": "",
        "shown": "x",
        "text": "lunch",
        "normaliser": VERSION,
        "raw": None,
    }
    store.label_verdict(store.begin_verdict(SPAM_TASK, values, {}), "not spam")
    store.close()
    said = homespun("spam", "--yes").output
    assert "corrections judged right: 50 % before, 100 % now" in said
    assert "To judge mail by it from now on: homespun train adopt" in said
    assert "spam-1 judges from now on" in homespun("adopt").output
    assert "the scorer that comes with homespun judges again" in homespun("rollback", "--spam").output


def test_a_detached_run_goes_on_and_is_paused(homespun, tmp_path: Path) -> None:
    homespun("answers", str(tmp_path / "facts.csv"), "--name", "slow", "--epochs", "99", "--yes", "--detach")
    limit = time.monotonic() + 20
    while "training" not in homespun("list").output:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert "pauses" in homespun("pause").output
    while "paused" not in homespun("list").output:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert "is not under way: paused" in homespun("pause").output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("answers", "F", "--epochs", "many"), "Error: Epochs must be a number, not 'many'."),
        (("answers", "F", "--name", "../x"), "Error: A model cannot be called '../x'"),
        (("answers", "F", "--base", "nobody"), "Error: There is no model called 'nobody'"),
        (("feedback", "--yes"), "Error: 0 pairs of a better and a worse reply; at least 8 are needed"),
        (("adopt", "nothing"), "Error: There is no run called 'nothing'"),
        (("rollback",), "Error: There is nothing to go back to"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_status_2(homespun, tmp_path: Path, words, sentence: str) -> None:
    words = [str(tmp_path / "facts.csv") if word == "F" else word for word in words]
    result = homespun(*words)
    assert result.exit_code == 2
    assert result.output.startswith(sentence)
    assert "Traceback" not in result.output


def test_the_help_of_the_command_line_reads_no_forms() -> None:
    import subprocess

    code = "import assistant.cli, sys; print('training.recipe_wish' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
