"""Bad input as a person meets it, on the command line: one sentence, status 2, no traceback."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.training.conftest import command
from training.loop.lock import only_one


@pytest.fixture(scope="module")
def run(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    there = tmp_path_factory.mktemp("bad") / "run"
    shutil.copytree(finished, there)
    return there


@pytest.mark.parametrize(
    ("stage", "setting", "sentence"),
    [
        ("pretrain", "pretrain.lrr=1", "did you mean lr?"),
        ("tokenizer", "tokenizer.vocab_size=50000", "support a vocabulary of"),
        ("pretrain", "pretrain.batch_tokens=1000000", "too little data for one step; add data or lower batch_tokens"),
        ("pretrain", "pretrain.lr=0.5", "checkpoint.pt is of another recipe: lr was 0.02 and is 0.5 now"),
        ("sft", "model.d_ff=80", "made with another shape"),
        ("pretrain", "tokenizer.vocab_size=330", "another recipe: tokenizer.vocab_size was 320 and is 330 now"),
        ("sft", "data.sources.chats.limit_mb=1", "another recipe: data.sources.chats.limit_mb was 0.0 and is 1 now"),
    ],
)
def test_a_wish_that_does_not_fit(corpus: Path, run: Path, stage: str, setting: str, sentence: str) -> None:
    done = subprocess.run(command(corpus, stage, run, "--set", setting), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("Error: ") for line in done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the files are empty"),
        ("Füße und Bäume.\n".encode("latin-1") * 9, "line 1 is not UTF-8 (byte 0xfc)"),
        (b"the dog sees a cat and then " * 3_750_000, "line 1 is longer than 64 MB"),
    ],
    ids=["empty", "not UTF-8", "a line of 100 MB"],
)
def test_a_corpus_that_cannot_be_read(corpus: Path, tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    source = 'data.sources=[{name="a",path="a.txt",licence="x"}]'
    words = [*command(corpus, "prepare", tmp_path / "run", "--set", source), "--data", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_folder_in_use(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with only_one(tmp_path / "run"):
        done = subprocess.run(command(corpus, "prepare", tmp_path / "run"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is in use by another process" in done.stderr
    assert len(done.stderr.splitlines()) == 1
