"""`homespun classify` as people run it, with the real engine; and the spam check with the real worker."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.app import HomespunApp
from assistant.screens.spam.screen import SpamScreen
from tests.assistant.driver import Driver
from tests.assistant.test_spam import SPAM

SAMPLE = Path(__file__).parents[2] / "training" / "sample" / "labels.csv"


def run(data: Path, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "assistant.cli", "--data-dir", str(data), "classify", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if key != "HOMESPUN_WORKER"}
    return subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=250)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name a text"),
        (["-"], "Say which labels"),
        (["-", "--labels", "one"], "at least two"),
        (["-", "--as", "nobody"], "There is no classifier called 'nobody'"),
        (["-", "--as", "x", "--labels", "a,b"], "leave out --labels"),
        (["-", "--examples", "/nowhere.csv"], "/nowhere.csv cannot be read"),
        (["--labels", "a,b", "--train", "../x"], "A name begins with"),
    ],
)
def test_bad_input_is_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_zero_shot_in_json_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "/nowhere.txt", "-", "--labels", "question, greeting", "--json", stdin="Hello there!")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 2, "one of them could not be read"
    assert "no such file" in first["error"]
    assert set(second["labels"]) == {"question", "greeting"}
    assert second["method"] == "zero-shot"
    assert sum(second["labels"].values()) == pytest.approx(1)


@pytest.mark.slow
def test_fine_tuned_on_a_table_and_used_by_name(tmp_path: Path) -> None:
    rows = list(csv.DictReader(SAMPLE.open()))
    held, learned = rows[::8], rows[1::8] + rows[3::8] + rows[5::8]
    with (tmp_path / "notes.csv").open("w") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(learned)
    done = run(tmp_path / "data", "--examples", tmp_path / "notes.csv", "--train", "notes")
    assert done.returncode == 0, done.stderr
    assert f"notes is fine-tuned on {len(learned)} examples; of " in done.stderr
    for number, row in enumerate(held):
        (tmp_path / f"{number:03d}.txt").write_text(row["text"])
    again = run(tmp_path / "data", tmp_path, "--as", "notes", "--json")
    told = [json.loads(line) for line in again.stdout.splitlines()]
    assert {row["method"] for row in told} == {"fine-tuned"}
    right = sum(row["label"] == want["label"] for row, want in zip(told, held, strict=True))
    assert right >= 0.75 * len(held)


async def test_the_spam_check_with_the_real_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOMESPUN_WORKER", raising=False)
    (tmp_path / "mail.eml").write_text(SPAM)
    app = HomespunApp(device="cpu", data_dir=tmp_path / "data")
    async with app.run_test(size=(80, 24)) as pilot:
        it = Driver(app, pilot)
        await it.send(f"/spam {tmp_path / 'mail.eml'}")
        await it.until(lambda: isinstance(app.screen, SpamScreen) and app.screen.is_mounted)
        screen = app.screen
        await it.until(lambda: screen.kept is not None and bool(screen.kept.answer), 60)
        assert screen.kept.answer in ("spam", "unsure")
        assert screen.kept.probability > 0.9
        evidence = screen.kept.details["evidence"]
        assert any(weight > 0 and screen.kept.shown[start:end].strip() for start, end, weight in evidence)
        assert screen.kept.details["beside"]["kind"] == "classical"
        assert any(kind == "reply-to" for kind, *_ in screen.kept.details["findings"])
