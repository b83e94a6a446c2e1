"""What a stage starts from: the weights of an earlier stage, of a base model, or random ones.

One place decides it, for every stage. Reading models is the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from engine.catalog import find
from engine.decoder.config import GPTConfig
from engine.decoder.lora import LoRAConfig, attach, merge
from engine.decoder.model import GPT, init_weights
from engine.files.model_folder import load
from training.data.vocabulary import Vocabulary, open_base, open_vocabulary
from training.loop.checkpoint import load_weights
from training.recipe import LoRARecipe, Recipe, RecipeError, TrainRecipe

# What each stage starts from when its recipe says "auto": the first of these that is there.
ORDER: Mapping[str, tuple[str, ...]] = {
    "pretrain": ("base",),
    "mlm": ("pretrain", "base"),
    "sft": ("pretrain", "base"),
    "dpo": ("sft", "pretrain", "base"),
    "classify": ("mlm", "pretrain", "base"),
}
FRESH = ("pretrain", "mlm", "classify")  # stages that may start from random weights


@dataclass
class Start:
    """A model to train, and where it comes from."""

    model: GPT
    vocabulary: Vocabulary
    origin: str  # "pretrain", "base", … or "nothing"
    parent: str  # the origin in words
    lora: LoRAConfig | None = None


def begin(recipe: Recipe, run: Path, stage: str) -> Start:
    """The model that `stage` starts from, its additions (LoRA) attached if the recipe wants them.

    Raises:
        RecipeError: there is nothing to start from, or it does not fit the recipe.
        ModelFolderError: the base model is missing or damaged.
    """
    table: TrainRecipe = getattr(recipe, stage)
    vocabulary = open_vocabulary(run, recipe.base.model)
    origin = _origin(recipe, run, stage, table)
    if origin == "base":
        model = cast(GPT, load(find(recipe.base.model).path).model)  # plain layers, to be trained
        parent = f"the base model {recipe.base.model}"
    elif origin == "nothing":
        model, parent = _fresh(recipe, vocabulary, table), "random weights"
    else:
        model, parent = trained(recipe, run, origin), f"the {origin} stage"
    if table.context > model.config.context_length:
        raise RecipeError(
            f"[{stage}] context is {table.context}, and {parent} is made for {model.config.context_length} tokens."
        )
    model.requires_grad_(True)
    lora = to_lora(table.lora)
    if lora is not None:
        attach_lora(model, lora, table.seed, stage)
    return Start(model, vocabulary, origin, parent, lora)


def _origin(recipe: Recipe, run: Path, stage: str, table: TrainRecipe) -> str:
    there = {name: checkpoint(run, name).exists() for name in ORDER} | {"base": bool(recipe.base.model)}
    if table.start_from != "auto":
        if table.start_from == stage or not there[table.start_from]:
            missing = "[base] names no model" if table.start_from == "base" else f"{checkpoint(run, table.start_from)}"
            raise RecipeError(f"[{stage}] is to start from {table.start_from!r}, which is not there ({missing}).")
        return table.start_from
    for name in ORDER[stage]:
        if there[name]:
            return name
    if stage in FRESH:
        return "nothing"
    first = checkpoint(run, ORDER[stage][0])
    raise RecipeError(
        f"There is nothing to tune: {first} is missing. Run the {ORDER[stage][0]} stage first, or name a model in "
        "[base]."
    )


def checkpoint(run: Path, stage: str) -> Path:
    return run / stage / "checkpoint.pt"


def _fresh(recipe: Recipe, vocabulary: Vocabulary, table: TrainRecipe) -> GPT:
    model = GPT(GPTConfig(vocab_size=vocabulary.tokenizer.vocab_size, **asdict(recipe.model)))
    init_weights(model, torch.Generator().manual_seed(table.seed))
    return model


def shape_of(recipe: Recipe, vocabulary: Vocabulary) -> GPTConfig:
    """The shape of every decoder of this run."""
    if recipe.base.model:
        return open_base(recipe.base.model).config
    return GPTConfig(vocab_size=vocabulary.tokenizer.vocab_size, **asdict(recipe.model))


def trained(recipe: Recipe, run: Path, stage: str) -> GPT:
    """What `stage` has made so far, its additions merged: a plain model.

    Raises:
        RecipeError: it has made nothing yet, or with another recipe.
    """
    path = checkpoint(run, stage)
    if not path.exists():
        raise RecipeError(f"{path} is missing. Run the {stage} stage first.")
    shapes = weight_shapes(path)
    config = shape_of(recipe, open_vocabulary(run, recipe.base.model))
    rows = next((shape[0] for name, shape in shapes.items() if name.endswith("embedding.weight")), config.vocab_size)
    model = GPT(replace(config, vocab_size=rows))  # masked words have a token of their own
    table: TrainRecipe = getattr(recipe, stage)
    if any(name.endswith(".base.weight") for name in shapes):
        attach(model, to_lora(table.lora) or _needs_lora(path, stage))
    load_weights(path, model)
    merge(model)
    return model.eval()


def weight_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights in a checkpoint, by name, without reading their numbers."""
    state = torch.load(path, map_location="meta", weights_only=True, mmap=True)["model"]
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _needs_lora(path: Path, stage: str) -> LoRAConfig:
    raise RecipeError(f"{path} holds additions (LoRA), and the recipe has no [{stage}.lora]. Put it back.")


def to_lora(recipe: LoRARecipe | None) -> LoRAConfig | None:
    return LoRAConfig(**asdict(recipe)) if recipe is not None else None


def attach_lora(model: nn.Module, lora: LoRAConfig, seed: int, stage: str) -> None:
    """Additions beside the blocks' matrices, everything else frozen.

    Raises:
        RecipeError: none of the model's layers is a target.
    """
    try:
        attach(model, lora, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    except ValueError as error:
        raise RecipeError(f"[{stage}.lora]: {error}") from error
