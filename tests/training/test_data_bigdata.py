"""The datatrove pipeline on its local executor: it keeps and drops what `prepare` does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.test_data_duplicates import changed, text
from training.data.commands import data
from training.data.documents import as_text
from training.data.prepare import SPLITS, documents_path, prepare
from training.loop.lock import only_one
from training.recipe import DataRecipe, RecipeError, Source, load_recipe

pytest.importorskip("datatrove")

RECIPE = """
[data]
valid_percent = 20
sources = [
  { name = "many", path = "part*.jsonl", licence = "x" },
  { name = "one", path = "one.txt", licence = "x" },
]
[tokenizer]
vocab_size = 300
"""
SETTING = ["--set", "data.valid_percent=49"]  # over the recipe's 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("big")
    texts = [text(120) for _ in range(40)]
    for part in range(3):
        rows = [{"text": t} for t in texts[part::3]]
        rows.append(
            {"messages": [{"role": "user", "content": f"hi {part}"}, {"role": "assistant", "content": "ho " * 9}]}
        )
        (root / f"part{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    copies = [texts[0].upper(), changed(texts[1], 0.01), "Hi.", "a short text that stands twice", text(120)]
    copies.append("A short text, that stands TWICE!")
    (root / "one.txt").write_text("\n<|endoftext|>\n".join(copies))
    (root / "recipe.toml").write_text(RECIPE)
    return root


def kept(run: Path) -> Counter[str]:
    names = ("many", "one")
    lines = [line for s in SPLITS for n in names for line in documents_path(run, s, n).read_text().splitlines()]
    return Counter(" ".join(as_text(json.loads(line)).lower().split())[:30] for line in lines)


def test_it_does_what_prepare_does(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", "data", "prepare", str(folder / "recipe.toml")]
    run = tmp_path / "big"
    done = subprocess.run(
        [*command, "--data", str(folder), "--run", str(run), "--tasks", "4", "--workers", "2", *SETTING],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ours = prepare(load_recipe(folder / "recipe.toml", SETTING[1:]).data, folder, tmp_path / "small")
    theirs = json.loads((run / "data_report.json").read_text())
    assert kept(run) == kept(tmp_path / "small")
    total = {name: sum(report[n][name] for n in report) for report in (ours,) for name in ("read", "kept", "valid")}
    assert total["read"] == sum(row["read"] for row in theirs.values()) == 49
    assert total["kept"] == sum(row["kept"] for row in theirs.values()) == 45
    assert theirs["one"]["dropped"]["short"] == 1
    assert sum(row["dropped"].get("near_duplicate", 0) for row in theirs.values()) == 3
    assert "| many | 43 |" in (run / "data_report.md").read_text()
    assert total["valid"] == sum(row["valid"] for row in theirs.values()) > 15, "half of them are held out"
    recipe = [str(folder / "recipe.toml"), "--data", str(folder), "--run", str(run), *SETTING]
    for stage in ("prepare", "tokenizer"):  # the first finds everything done, the second goes on from there
        done = subprocess.run([sys.executable, "-m", "training", stage, *recipe], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert json.loads((run / "data_report.json").read_text()) == theirs


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [("data.valid_percnt=1", "did you mean valid_percent?"), ("data.language_threshold=2", "between 0 and 1")],
)
def test_a_setting_that_does_not_fit_is_a_sentence(folder: Path, tmp_path: Path, setting: str, sentence: str) -> None:
    words = ["prepare", str(folder / "recipe.toml"), "--run", str(tmp_path / "run"), "--set", setting]
    done = CliRunner().invoke(data, words)
    assert done.exit_code == 2
    assert done.output.startswith("Error: ")
    assert sentence in done.output
    assert not (tmp_path / "run").exists()


def test_a_run_folder_in_use_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    words = ["prepare", str(folder / "recipe.toml"), "--data", str(folder), "--run", str(tmp_path / "run")]
    with only_one(tmp_path / "run"):
        done = CliRunner().invoke(data, words)
    assert (done.exit_code, "is in use by another process" in done.output) == (2, True)


def test_a_file_that_cannot_be_read_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    """datatrove logs a traceback then, which is in the log file and not on the screen."""
    (tmp_path / "one.txt").write_bytes("Füße und Bäume.\n".encode("latin-1") * 9)
    run, source = tmp_path / "run", 'data.sources=[{name="one",path="one.txt",licence="x"}]'
    words = ["prepare", str(folder / "recipe.toml"), "--data", str(tmp_path), "--run", str(run), "--set", source]
    done = subprocess.run([sys.executable, "-m", "training", "data", *words], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "one.txt, line 1 is not UTF-8 (byte 0xfc)" in done.stderr
    (log,) = run.glob("bigdata-*/logs/clean/logs/task_00000.log")
    assert "Traceback" in log.read_text()


def test_what_cannot_be_shared_out_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    from training.data.bigdata import jobs

    recipe = DataRecipe((Source("many", "part*.jsonl", "x", limit_mb=1),))
    with pytest.raises(RecipeError, match="is of 3 files, which different tasks read"):
        jobs(recipe, folder, tmp_path, 2)
