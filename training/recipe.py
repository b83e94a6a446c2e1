"""Recipes: what a model is made of and how, as frozen dataclasses read from one TOML file. Torch-free.

A recipe has one table a stage: `[data]`, `[tokenizer]`, `[model]`, `[pretrain]`, `[sft]`, `[export]`.
Unknown keys and impossible values fail with a sentence; nothing is guessed.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal


class RecipeError(Exception):
    """A recipe that cannot be followed; the text says what is wrong where."""


@dataclass(frozen=True)
class Source:
    """One source of documents and its place in the mix."""

    name: str
    path: str  # a glob below the data folder: .txt, .jsonl or .tsv, also .bz2
    licence: str
    epochs: float = 1.0  # how often pretraining reads it; 0: not at all
    sft_epochs: float = 0.0  # how often instruction tuning reads it (chats only)
    limit_mb: float = 0.0  # read at most so many megabytes of text; 0: all
    start: float = 0.0  # pretraining reads it between these two points of its way, 0 … 1
    end: float = 1.0
    url: str = ""  # where it comes from, for the card


@dataclass(frozen=True)
class DataRecipe:
    sources: tuple[Source, ...]
    valid_percent: float = 1.0  # of each source's documents, held out before anything is packed
    min_characters: int = 20  # shorter documents are dropped
    max_characters: int = 20_000  # longer ones are cut into pieces at a paragraph


@dataclass(frozen=True)
class TokenizerRecipe:
    vocab_size: int = 8192
    characters_mb: float = 20.0  # of training text the merges are learned from


@dataclass(frozen=True)
class ModelRecipe:
    context_length: int = 1024
    n_layer: int = 6
    n_head: int = 6
    n_kv_head: int = 2
    head_dim: int = 64
    d_model: int = 384
    d_ff: int = 1024


@dataclass(frozen=True)
class TrainRecipe:
    """One training stage. `rows` is of packed rows when pretraining; `sft` counts conversations by tokens."""

    context: int = 512  # tokens a row
    batch_tokens: int = 8192  # tokens a step, over all micro-batches
    micro_tokens: int = 4096  # tokens that are in memory at once
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = 0.02  # of the blocks' matrices
    adam_lr: float = 0.004  # of embeddings and norms (of everything with adamw)
    weight_decay: float = 0.01
    warmup_steps: int = 50
    decay_fraction: float = 0.5  # the last part of the way, over which the rate falls to nothing
    grad_clip: float = 1.0
    valid_every: int = 100  # steps
    valid_tokens: int = 65_536
    sample_every: int = 200  # steps
    checkpoint_minutes: float = 3.0
    compile: Literal["auto", "yes", "no"] = "auto"
    seed: int = 1
    sampling: Literal["packed", "windows"] = "packed"  # windows: every `stride` tokens, as in the book
    stride: int = 0  # tokens between two windows; 0: context, so that none overlap
    attention: Literal["document", "row"] = "document"  # row: a token also sees the documents before its own


@dataclass(frozen=True)
class ExportRecipe:
    name: str = "homespun"
    licence: str = "Apache-2.0"
    temperature: float = 0.7
    top_p: float = 0.9
    repetition_penalty: float = 1.1


@dataclass(frozen=True)
class Recipe:
    data: DataRecipe
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    model: ModelRecipe = field(default_factory=ModelRecipe)
    pretrain: TrainRecipe = field(default_factory=TrainRecipe)
    sft: TrainRecipe = field(default_factory=TrainRecipe)
    export: ExportRecipe = field(default_factory=ExportRecipe)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load_recipe(path: Path) -> Recipe:
    """The recipe in `path`.

    Raises:
        RecipeError: unreadable, unknown keys, wrong types or values out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"The recipe {path} is not valid TOML: {error}.") from error
    stages = {f.name for f in fields(Recipe)}
    if unknown := sorted(set(data) - stages):
        raise RecipeError(f"{path}: unknown table [{unknown[0]}]; a recipe has {', '.join(sorted(stages))}.")
    table = data.get("data", {})
    sources = tuple(_build(Source, s, f"{path}: data.sources") for s in table.pop("sources", ()))
    recipe = Recipe(
        data=_build(DataRecipe, {**table, "sources": sources}, f"{path}: [data]"),
        tokenizer=_build(TokenizerRecipe, data.get("tokenizer", {}), f"{path}: [tokenizer]"),
        model=_build(ModelRecipe, data.get("model", {}), f"{path}: [model]"),
        pretrain=_build(TrainRecipe, data.get("pretrain", {}), f"{path}: [pretrain]"),
        sft=_build(TrainRecipe, data.get("sft", {}), f"{path}: [sft]"),
        export=_build(ExportRecipe, data.get("export", {}), f"{path}: [export]"),
    )
    _check(recipe, path)
    return recipe


def _build(cls: Any, table: dict[str, Any], where: str) -> Any:
    """An instance of dataclass `cls` from a TOML table, its keys and plain types checked."""
    known = {f.name: f for f in fields(cls)}
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}; known are {', '.join(known)}.")
        kind = str(known[key].type)
        allowed: tuple[type, ...] = {"int": (int,), "float": (int, float), "str": (str,)}.get(kind, (object,))
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "bool"):
            raise RecipeError(f"{where}: {key} must be of type {kind}, not {value!r}.")
        if kind.startswith("Literal") and repr(value) not in kind.replace('"', "'"):
            raise RecipeError(f"{where}: {key} must be one of {kind.removeprefix('Literal')}, not {value!r}.")
    try:
        return cls(**table)
    except TypeError as error:
        raise RecipeError(f"{where}: {str(error).removeprefix('__init__() ')}.") from error


def _check(recipe: Recipe, path: Path) -> None:
    rules = [
        (bool(recipe.data.sources), "[data] names no sources"),
        (0 < recipe.data.valid_percent < 50, "valid_percent must be between 0 and 50"),
        (
            300 <= recipe.tokenizer.vocab_size <= 65_536,
            "vocab_size must be between 300 and 65536 (shards are uint16)",
        ),
        (recipe.model.n_head % recipe.model.n_kv_head == 0, "n_head must be a multiple of n_kv_head"),
    ]
    for name, stage in (("pretrain", recipe.pretrain), ("sft", recipe.sft)):
        rules += [
            (
                8 <= stage.context <= recipe.model.context_length,
                f"[{name}] context must fit the model's context_length",
            ),
            (
                stage.micro_tokens >= stage.context,
                f"[{name}] micro_tokens must hold at least one row of context",
            ),
            (
                stage.batch_tokens >= stage.micro_tokens,
                f"[{name}] batch_tokens must be at least micro_tokens",
            ),
            (stage.stride >= 0, f"[{name}] stride must be 0 or more"),
            (0 <= stage.decay_fraction <= 1, f"[{name}] decay_fraction must be between 0 and 1"),
            (
                min(stage.valid_every, stage.sample_every) >= 1,
                f"[{name}] valid_every, sample_every must be 1 or more",
            ),
        ]
    rules += [(0 <= s.start < s.end <= 1, f"source {s.name}: 0 <= start < end <= 1") for s in recipe.data.sources]
    for ok, sentence in rules:
        if not ok:
            raise RecipeError(f"{path}: {sentence}.")
