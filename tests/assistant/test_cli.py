"""The command as people run it: a process, its output and its exit status."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli import main
from assistant.version import __version__


@pytest.fixture
def run(model: Path, data: Path, command: list[str]):
    def run(*arguments: str, stdin: str | bytes | None = None, mode: str = "") -> subprocess.CompletedProcess:
        environment = os.environ | {
            "HOMESPUN_WORKER": shlex.join(command),
            "HOMESPUN_DATA_DIR": str(data),
            "FAKE_WORKER": mode,
        }
        return subprocess.run(
            [sys.executable, "-m", "assistant.cli", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=environment,
            timeout=60,
        )

    return run


def test_version_and_help(run) -> None:
    assert run("--version").stdout.decode() == f"homespun, version {__version__}\n"
    text = run("-h").stdout.decode()
    assert "ask" in text
    assert "models" in text


def test_ask_streams_the_answer(run, model: Path) -> None:
    done = run("ask", "--model", str(model), "Hello", "there")
    assert done.stdout.decode() == "You said: **Hello there**\n"
    assert done.returncode == 0


def test_ask_reads_what_is_piped(run, model: Path) -> None:
    assert b"from the pipe" in run("ask", "--model", str(model), stdin="from the pipe").stdout
    done = run("ask", "--model", str(model), "What?", stdin=b"bad \xff byte")
    assert done.stdout.decode().startswith("You said: **What?\n\nbad \ufffd byte")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["ask"], 2, "nothing to ask"),
        (["ask", "  "], 2, "nothing to ask"),
        (["ask", "--model", "nosuch", "x"], 2, "no model called 'nosuch'"),
        (["ask", "--model", "/nowhere/x", "x"], 2, "no model folder or GGUF file at /nowhere/x"),
        (["ask", "--temperature", "-1", "--model", "MODEL", "x"], 2, "Temperature must be 0 or more"),
        (["ask", "--model", "MODEL", "TOO LONG"], 2, "too long"),
        ([], 2, "needs a terminal"),
    ],
)
def test_bad_input_is_a_sentence(run, model: Path, arguments: list[str], status: int, sentence: str) -> None:
    done = run(*(str(model) if a == "MODEL" else a for a in arguments))
    assert done.returncode == status
    assert sentence in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_a_worker_that_dies_is_status_one(run, model: Path) -> None:
    done = run("ask", "--model", str(model), "x", mode="die")
    assert done.returncode == 1
    assert "stopped unexpectedly" in done.stderr.decode()
    assert done.stdout.decode().startswith("You s"), "what came is kept"


def test_escape_codes_of_a_model_never_reach_the_terminal(run, model: Path) -> None:
    assert run("ask", "--model", str(model), "ESCAPE").stdout == b"a]0;evilb\n"


def test_models_lists_the_data_folders_models(run, model: Path, data: Path) -> None:
    (data / "models").mkdir(parents=True)
    model.rename(data / "models" / "mine")
    done = run("models")
    assert "mine" in done.stdout.decode()


def test_the_app_imports_no_torch() -> None:
    heavy = {"torch", "numpy", "tiktoken", "safetensors", "huggingface_hub", "httpx", "httpx2", "requests"}
    code = f"import sys, assistant.app, assistant.ask, assistant.models.showing; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_help_imports_next_to_nothing() -> None:
    heavy = {"textual", "sqlite_utils", "asyncio", "engine.catalog"}
    code = f"import sys, assistant.cli; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_arguments_that_are_no_utf8(run, model: Path) -> None:
    done = run("ask", "--model", str(model), b"caf\xe9".decode(errors="surrogateescape"))
    assert done.stdout == b"You said: **caf**\n"
    assert done.returncode == 0


@pytest.mark.parametrize("path", ["x" * 300, f"/tmp/{'x' * 300}/y.gguf"], ids=len)
def test_a_name_that_is_too_long_for_the_system_is_a_sentence(data: Path, command, monkeypatch, path: str) -> None:
    """Path.exists and its like raise there (ENAMETOOLONG), and a long paste is soon in a field for a path."""
    monkeypatch.setenv("HOMESPUN_DATA_DIR", str(data))
    monkeypatch.setenv("HOMESPUN_WORKER", shlex.join(command))
    for words in (
        ["--model", path, "ask", "hello"],
        ["models", "add", path],
        ["models", "remove", path],
        ["models", "info", path],
        ["models", "default", path],
        ["library", "add", path],
        ["spam", path],
        ["spam", "--move", path, "a.eml"],
        ["classify", "--labels", "a,b", path],
        ["import", path],
        ["train", "answers", path, "--name", "new"],
        ["train", "documents", path, "--name", "new"],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2, (words, done.output, done.exception)
        assert isinstance(done.exception, SystemExit), words
        assert "mistake" not in done.output, words
