"""A wish as a recipe: what a person left open is chosen here, by what the data is like, and written down as TOML.

Owns the defaults of fine-tuning, with the measurements behind them. A recipe's tables are `training/recipe.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.recipe_wish import SIZES, Wish

SAMPLE = Path(__file__).parent.parent / "sample"
REPLAY = SAMPLE / "dialogues.jsonl"  # what a model made here knows already
CHECKPOINT_MINUTES = 0.5  # a cut costs no more than this
FULL_LR, LORA_LR = 0.0005, 0.003  # of AdamW
SEEN = {"answers": 48.0, "documents": 8.0, "feedback": 2.0, "labels": 6.0, "scratch": 4.0}  # epochs


@dataclass(frozen=True)
class Amounts:
    """What the data is like, as far as the choice depends on it."""

    examples: int  # that are learned from, other wordings left out
    documents: int  # lines of the training data, other wordings included
    replay: int = 0  # dialogues of the retained set
    longest: int = 0  # tokens
    characters: int = 0  # of documents


def epochs_of(wish: Wish) -> float:
    """How often the data is seen; corrections of the spam scorer once."""
    return wish.epochs or SEEN.get(wish.kind, 1.0)


def recipe_of(wish: Wish, amounts: Amounts, sources: list[dict[str, Any]]) -> str:
    """The recipe's TOML. `sources` are rows of `[data]`, their epochs included."""
    tables: dict[str, Any] = {}
    kinds: dict[str, dict[str, Any]] = {
        "answers": {"valid_percent": 0.0, "min_characters": 1, "near_duplicates": 0.0, "mojibake": False},
        "documents": {
            "valid_percent": 20.0 if amounts.characters < SMALL else 10.0,
            "min_characters": 20,
            "quality": {"on": False},  # they were chosen by hand
        },
        "scratch": {"valid_percent": 2.0},
    }
    if sources:
        tables["data"] = {**kinds.get(wish.kind, {}), "sources": sources}
    if wish.kind == "scratch":
        shape = dict(SIZES[wish.size])
        supported = 300 + amounts.characters // 100  # a small text has not more pairs that come often
        tables["tokenizer"] = {"vocab_size": min(shape.pop("vocab"), supported)}
        tables["model"] = {"context_length": max(2 * wish.context, 512), **shape}
    else:
        tables["base"] = {"model": wish.base}
    tables[wish.stage] = _stage(wish, amounts)
    if wish.kind == "scratch" and wish.chats:
        tables["sft"] = {**_shared(wish), **_muon(wish), "lr": 0.01, "adam_lr": 0.002}
    if wish.kind != "scratch" and wish.method == "lora":
        rank = wish.rank or 16
        tables[f"{wish.stage}.lora"] = {"rank": rank, "alpha": 2.0 * rank}
    tables["export"] = {"name": wish.name, "licence": "private"}
    return "".join(toml_table(name, table) for name, table in tables.items())


def passage_size(characters: int) -> int:
    """Characters of a passage of a text of so many: a small text, too, is to have some to learn and some to measure."""
    return 300 if characters < SMALL else 600


SMALL = 20_000  # characters


def _shared(wish: Wish) -> dict[str, Any]:
    return {
        "context": wish.context,
        "batch_tokens": wish.batch_tokens,
        "micro_tokens": wish.batch_tokens,
        "checkpoint_minutes": CHECKPOINT_MINUTES,
        "compile": "no",
        "seed": wish.seed,
        "valid_tokens": 4096,
    }


def _muon(wish: Wish) -> dict[str, Any]:
    batch = max(wish.batch_tokens, 2048)
    return {"batch_tokens": batch, "micro_tokens": batch, "valid_every": 25, "sample_every": 50, "warmup_steps": 20}


def _stage(wish: Wish, amounts: Amounts) -> dict[str, Any]:
    table = _shared(wish)
    if wish.kind == "scratch":
        return {**table, **_muon(wish), "lr": wish.lr or 0.02, "valid_tokens": 8192}
    rate = wish.lr or (LORA_LR if wish.method == "lora" else FULL_LR)
    table |= {"optimizer": "adamw", "adam_lr": rate, "warmup_steps": 5, "valid_every": 20, "sample_every": 40}
    if wish.kind in ("answers", "documents"):
        table |= {"weight_decay": 0.0, "decay_fraction": 0.7}
    if wish.kind == "feedback":
        table |= {"files": "preferences.jsonl", "epochs": epochs_of(wish), "beta": wish.beta, "nll": 1.0}
        table["valid_percent"] = 10.0
        table["adam_lr"] = wish.lr or (0.0002 if wish.method == "lora" else 0.00002)
    if wish.kind == "labels":
        table |= {"files": "labels.jsonl", "epochs": epochs_of(wish), "valid_percent": 20.0, "balance": "weights"}
        table["adam_lr"] = wish.lr or (0.0005 if wish.method == "lora" else 0.0002)
    return table


def toml_table(name: str, values: Mapping[str, Any]) -> str:
    """One table as TOML; lists of tables become inline tables."""
    lines = [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines]) + "\n\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_value(part)},\n" for part in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(part)}" for key, part in value.items()) + " }"
    return repr(value)
