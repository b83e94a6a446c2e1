"""The rules of recipes: what their tables may say, alone and together. Torch-free; the tables are `recipe.py`."""

from __future__ import annotations

import re
from pathlib import Path

from training.errors import RecipeError
from training.recipe_tables import ClassifyRecipe, DPORecipe, LoRARecipe, Recipe, TrainRecipe, TranslateRecipe

LEAST = 256 + 3  # tokens of a vocabulary: the bytes, and the special ones
Rules = list[tuple[bool, str]]  # what has to hold, and the sentence where it does not


def check(recipe: Recipe, given: set[str], path: Path) -> None:
    """Refuse what cannot be done; `given` are the tables that the file has.

    Raises:
        RecipeError: the first rule that does not hold.
    """
    tables = [recipe.classify.files, recipe.dpo.files, recipe.translate.files]
    rules = [
        (bool(recipe.data.sources) or any(tables), "[data] names no sources"),
        (0 <= recipe.data.valid_percent < 50, "valid_percent must be from 0 to below 50"),
        (LEAST <= recipe.tokenizer.vocab_size <= 1_000_000, f"vocab_size must be between {LEAST} and 1000000"),
        *_rules_of_data(recipe),
        (recipe.model.n_head % recipe.model.n_kv_head == 0, "n_head must be a multiple of n_kv_head"),
        (
            not (recipe.base.model and given & {"model", "tokenizer"}),
            "[base] is a model with a shape and a vocabulary of its own: leave out [model] and [tokenizer]",
        ),
    ]
    for name in sorted(given & {"classify", "dpo", "mlm", "translate"} | {"pretrain", "sft"}):
        rules += _rules_of_stage(name, getattr(recipe, name), recipe)
    for name in ("classify", "dpo", "translate"):
        if name in given:
            rules += _rules_of_examples(name, getattr(recipe, name))
    if "classify" in given:
        c = recipe.classify
        rules += [
            (0 <= c.dropout < 1, "[classify] dropout must be from 0 to below 1"),
            (0 <= c.word_dropout <= 0.5, "[classify] word_dropout must be from 0 to 0.5"),
            (c.blocks >= 0, "[classify] blocks must be 0 or more"),
            (len(set(c.labels)) == len(c.labels), "[classify] labels names a label twice"),
            (len(c.labels) != 1, "[classify] labels must name at least two, or none to take what the examples have"),
        ]
    if "dpo" in given:
        d = recipe.dpo
        rules += [
            (d.beta > 0, "[dpo] beta must be above 0"),
            (0 <= d.label_smoothing < 0.5, "[dpo] label_smoothing must be from 0 to below 0.5"),
            (d.nll >= 0, "[dpo] nll must be 0 or more"),
        ]
    if "translate" in given:
        rules += _rules_of_translate(recipe.translate)
    if "mlm" in given:
        m = recipe.mlm
        shares = 0 < m.share < 1 and min(m.masked, m.random) >= 0 and m.masked + m.random <= 1
        rules.append((shares, "[mlm] share must be between 0 and 1, masked and random together at most 1"))
    for ok, sentence in rules:
        if not ok:
            raise RecipeError(f"{path}: {sentence}.")


def _rules_of_data(recipe: Recipe) -> Rules:
    data = recipe.data
    rules = [
        (0 <= data.near_duplicates <= 1, "near_duplicates must be between 0 and 1"),
        (0 <= data.language_threshold <= 1, "language_threshold must be between 0 and 1"),
        (not data.tokens_m or any(s.weight > 0 for s in data.sources), "tokens_m needs sources with a weight"),
    ]
    for s in data.sources:
        rules += [
            (bool(re.fullmatch(r"[\w.-]+", s.name)), f"source {s.name!r}: a name is letters, digits, '_', '-' and '.'"),
            (min(s.epochs, s.sft_epochs, s.weight, s.limit_mb) >= 0, f"source {s.name}: no number may be below 0"),
            (0 <= s.start < s.end <= 1, f"source {s.name}: 0 <= start < end <= 1"),
        ]
    return rules


def _rules_of_stage(name: str, stage: TrainRecipe, recipe: Recipe) -> Rules:
    own_shape = bool(recipe.base.model) or name == "translate"  # its length is known when it is opened, or its own
    rules = [
        (
            8 <= stage.context <= (recipe.model.context_length if not own_shape else stage.context),
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
        (min(stage.stride, stage.steps) >= 0, f"[{name}] stride and steps must be 0 or more"),
        (min(stage.lr, stage.adam_lr) >= 0, f"[{name}] lr and adam_lr must be 0 or more"),
        (
            0 <= stage.ramp_from <= stage.batch_tokens and stage.ramp_steps >= 1,
            f"[{name}] ramp_from must be from 0 to batch_tokens, and ramp_steps 1 or more",
        ),
        (
            not stage.ramp_from or name in ("pretrain", "mlm"),
            f"[{name}] ramp_from is for pretrain and mlm, whose batches are rows of one stream",
        ),
        (0 <= stage.decay_fraction <= 1, f"[{name}] decay_fraction must be between 0 and 1"),
        (
            min(stage.valid_every, stage.sample_every) >= 1,
            f"[{name}] valid_every, sample_every must be 1 or more",
        ),
    ]
    if stage.lora is not None:
        where = f"[{name}.lora]"
        unknown = sorted(set(stage.lora.targets) - set(LoRARecipe.targets))
        rules += [
            (stage.lora.rank >= 1, f"{where} rank must be 1 or more"),
            (stage.lora.alpha > 0, f"{where} alpha must be above 0"),
            (0 <= stage.lora.dropout < 1, f"{where} dropout must be from 0 to below 1"),
            (bool(stage.lora.targets), f"{where} targets must name a layer"),
            (not unknown, f"{where} targets: there is no {unknown}; known are {', '.join(LoRARecipe.targets)}"),
            (name != "translate", f"{where} is not for a model that starts from nothing"),
        ]
    return rules


def _rules_of_translate(t: TranslateRecipe) -> Rules:
    return [
        (min(t.d_model, t.n_head, t.n_layer, t.d_ff) >= 1, "[translate] sizes must be 1 or more"),
        (t.n_head >= 1 and t.d_model % (2 * t.n_head) == 0, "[translate] d_model must be an even multiple of n_head"),
        (t.vocab_size >= LEAST, f"[translate] vocab_size must be {LEAST} or more"),
        (0 <= t.dropout < 1, "[translate] dropout must be from 0 to below 1"),
        (0 <= t.smoothing < 1, "[translate] smoothing must be from 0 to below 1"),
        (t.beam >= 1, "[translate] beam must be 1 or more"),
        (min(t.limit, t.measured) >= 0, "[translate] limit and measured must be 0 or more"),
    ]


def _rules_of_examples(name: str, stage: ClassifyRecipe | DPORecipe | TranslateRecipe) -> Rules:
    return [
        (bool(stage.files), f"[{name}] must say in files which table its examples are in"),
        (0 < stage.valid_percent < 50, f"[{name}] valid_percent must be between 0 and 50"),
        (stage.epochs > 0, f"[{name}] epochs must be above 0"),
    ]
