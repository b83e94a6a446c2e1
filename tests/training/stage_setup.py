"""What the tests of the stages share: a tiny random base model, tiny examples of each kind, a recipe of all stages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.files.model_folder import save
from engine.text.chat_template import CHATML
from training.data.tokenizer import tokenizer_json
from training.data.vocabulary import mark_shards, take_base
from training.recipe import Recipe, load_recipe
from training.stages.job import Job

TINY = GPTConfig(vocab_size=259, context_length=128, n_layer=2, n_head=2, n_kv_head=1, head_dim=16, d_model=32, d_ff=64)
COMMON = """context = 64
batch_tokens = 512
micro_tokens = 256
optimizer = "adamw"
adam_lr = 0.003
warmup_steps = 2
valid_every = 2
sample_every = 1000
checkpoint_minutes = 100.0
"""
RECIPE = (
    """
[base]
model = "BASE"
[data]
valid_percent = 10.0
sources = [{ name = "chats", path = "chats.jsonl", licence = "Apache-2.0", epochs = 1, sft_epochs = 1 }]
[classify]
files = "labels.csv"
valid_percent = 20.0
epochs = 2
dropout = 0.1
"""
    + COMMON.replace("512", "256")
    + """[dpo]
files = "preferences.jsonl"
valid_percent = 20.0
epochs = 1
"""
    + COMMON.replace("context = 64", "context = 128")
    + """[translate]
files = "pairs.tsv"
valid_percent = 20.0
epochs = 2
vocab_size = 300
d_model = 32
n_head = 2
n_layer = 1
d_ff = 32
measured = 4
"""
    + COMMON.replace("512", "256")
    + "".join(f"[{name}]\n{COMMON}" for name in ("pretrain", "sft", "mlm"))
    + '[export]\nname = "mini"\n'
)
WORDS = ["the", "dog", "cat", "river", "boy", "girl", "runs", "sees", "likes", "big", "small", "red", "and", "then"]


def sentence(numbers: random.Random, count: int = 5) -> str:
    return " ".join(numbers.choices(WORDS, k=count)).capitalize() + "."


def write_base(folder: Path) -> Path:
    """A tiny model folder with random weights; one token a byte."""
    model = GPT(TINY)
    init_weights(model, torch.Generator().manual_seed(0))
    vocabulary = tokenizer_json({bytes([byte]): byte for byte in range(256)})
    save(folder, model, vocabulary, CHATML, generation={}, training={"name": "base"}, card="", dtype=torch.float32)
    return folder


def write_examples(folder: Path) -> None:
    """chats.jsonl, labels.csv, preferences.jsonl and pairs.tsv."""
    numbers = random.Random(0)
    chats = [
        {"messages": [{"role": role, "content": sentence(numbers, 3)} for role in ("user", "assistant") * (1 + i % 2)]}
        for i in range(40)
    ]
    (folder / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    rows = [(sentence(numbers), ("calm", "loud")[i % 2]) for i in range(60)]
    rows = [(text.upper() if label == "loud" else text, label) for text, label in rows]
    (folder / "labels.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    pairs = [
        {"prompt": sentence(numbers, 2), "chosen": sentence(numbers, 3), "rejected": sentence(numbers, 3)}
        for _ in range(30)
    ]
    (folder / "preferences.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    sentences = [sentence(numbers, 3) for _ in range(60)]
    (folder / "pairs.tsv").write_text("".join(f"{text}\t{text.lower()[::-1]}\n" for text in sentences))


def recipe_in(folder: Path, text: str = RECIPE, **changes: str) -> Recipe:
    """`text` with each `key` replaced by its value, read as a recipe."""
    for old, new in {"BASE": str(folder / "base"), **changes}.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / f"recipe{abs(hash(text))}.toml"
    path.write_text(text)
    return load_recipe(path)


def with_lora(text: str, stage: str) -> str:
    """`text` with additions for `stage`."""
    return text.replace("[export]", f"[{stage}.lora]\nrank = 2\nalpha = 4\ndropout = 0.1\n[export]")


def job_of(folder: Path, run: Path, recipe: Recipe, **more: Any) -> Job:
    """A job in `run`, which has the documents' tokens already."""
    run.mkdir(parents=True, exist_ok=True)
    if not (run / "shards").exists():
        from training.data.prepare import prepare
        from training.data.shards import write_shards

        prepare(recipe.data, folder, run)
        vocabulary = take_base(run, recipe.base.model)
        write_shards(recipe, run)
        mark_shards(run, vocabulary)
    return Job(recipe, run, folder, torch.device("cpu"), **more)
