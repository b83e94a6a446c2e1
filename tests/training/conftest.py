"""A run folder with a tiny recipe and a little data, and how to run its stages as a person does."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """
[data]
valid_percent = 10.0
sources = [
  { name = "chats", path = "chats.jsonl", licence = "Apache-2.0", epochs = 2, sft_epochs = 2 },
  { name = "texts", path = "texts.txt", licence = "Apache-2.0", epochs = 1.5 },
]
[tokenizer]
vocab_size = 320
[model]
context_length = 256
n_layer = 2
n_head = 2
n_kv_head = 1
head_dim = 16
d_model = 32
d_ff = 64
[pretrain]
context = 32
batch_tokens = 512
micro_tokens = 256
valid_every = 10
valid_tokens = 512
sample_every = 1000
warmup_steps = 3
compile = "no"
checkpoint_minutes = 0.0
[sft]
context = 64
batch_tokens = 256
micro_tokens = 256
valid_every = 10
valid_tokens = 512
sample_every = 1000
warmup_steps = 3
compile = "no"
checkpoint_minutes = 0.0
[export]
name = "mini"
"""
WORDS = ["the", "dog", "cat", "river", "boy", "girl", "runs", "sees", "likes", "big", "small", "red", "and", "then"]


def sentences(numbers: random.Random, count: int) -> str:
    return " ".join(" ".join(numbers.choices(WORDS, k=8)).capitalize() + "." for _ in range(count))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recipe.toml, texts.txt and chats.jsonl."""
    folder, numbers = tmp_path_factory.mktemp("corpus"), random.Random(0)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "texts.txt").write_text("\n<|endoftext|>\n".join(sentences(numbers, 5) for _ in range(60)))
    with (folder / "chats.jsonl").open("w") as file:
        for _ in range(80):
            turns = [
                {"role": r, "content": sentences(numbers, 1)} for r in ("user", "assistant") * numbers.randint(1, 2)
            ]
            file.write(json.dumps({"messages": turns}) + "\n")
    return folder


def command(corpus: Path, stage: str, run: Path, *more: str) -> list[str]:
    recipe = str(corpus / "recipe.toml")
    return [sys.executable, "-m", "training", stage, recipe, "--data", str(corpus), "--run", str(run), *more]


@pytest.fixture(scope="session")
def finished(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with every stage done, none interrupted."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    subprocess.run(command(corpus, "all", run), check=True, capture_output=True, timeout=240)
    return run
