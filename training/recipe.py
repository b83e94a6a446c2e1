"""Recipes: what a model is made of and how, as frozen dataclasses read from one TOML file. Torch-free.

A recipe has one table a stage: `[data]`, `[tokenizer]`, `[model]` or `[base]`, `[pretrain]`, `[sft]`, `[classify]`,
`[dpo]`, `[mlm]`, `[translate]`, `[export]`; and `[sft.lora]` and the like, where a stage trains additions only.
Unknown keys and impossible values fail with a sentence; nothing is guessed. The tables are `recipe_tables.py` and
`recipe_data.py`, the rules `recipe_rules.py`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from training.errors import RecipeError
from training.manifest import sources_of
from training.recipe_build import alike, build
from training.recipe_data import DataRecipe, QualityRecipe, Source, TokenizerRecipe
from training.recipe_rules import check
from training.recipe_settings import put_settings
from training.recipe_tables import (
    TABLES,
    BaseRecipe,
    ClassifyRecipe,
    DPORecipe,
    ExportRecipe,
    LoRARecipe,
    MLMRecipe,
    ModelRecipe,
    Recipe,
    SFTRecipe,
    TrainRecipe,
    TranslateRecipe,
)

__all__ = [
    "BaseRecipe",
    "ClassifyRecipe",
    "DPORecipe",
    "DataRecipe",
    "ExportRecipe",
    "LoRARecipe",
    "MLMRecipe",
    "ModelRecipe",
    "QualityRecipe",
    "Recipe",
    "RecipeError",
    "SFTRecipe",
    "Source",
    "TokenizerRecipe",
    "TrainRecipe",
    "TranslateRecipe",
    "load_recipe",
]


ROWS = ("pretrain", "sft", "classify", "dpo", "mlm")  # stages of the model that [model] describes


def load_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """The recipe in `path`, with `settings` (`pretrain.lr=0.01`) over what it says.

    Raises:
        RecipeError: unreadable, unknown keys, wrong types or values out of range.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The recipe {path} is not valid TOML: {error}.") from error
    if unknown := sorted(set(data) - {f.name for f in fields(Recipe)}):
        known = ", ".join(sorted(f.name for f in fields(Recipe)))
        raise RecipeError(f"{path}: unknown table [{unknown[0]}]; {alike(unknown[0], TABLES)}a recipe has {known}.")
    put_settings(data, settings)
    table = data.pop("data", {})
    if not isinstance(table, dict):
        raise RecipeError(f"{path}: [data] must be a table, not {table!r}.")
    sources = sources_of(table, path.parent, f"{path}: [data]")
    table["quality"] = build(QualityRecipe, table.get("quality", {}), f"{path}: [data.quality]")
    built: dict[str, Any] = {name: build(TABLES[name], values, f"{path}: [{name}]") for name, values in data.items()}
    recipe = Recipe(data=build(DataRecipe, {**table, "sources": sources}, f"{path}: [data]"), **built)
    recipe = _rows_that_fit(recipe, data)
    check(recipe, set(data), path)
    return recipe


def _rows_that_fit(recipe: Recipe, said: dict[str, Any]) -> Recipe:
    """A stage's rows are no longer than the model's context, where the recipe does not say how long they are."""
    if recipe.base.model:  # whose context is known when it is opened
        return recipe
    stages = {name: getattr(recipe, name) for name in ROWS if "context" not in said.get(name, {})}
    most = recipe.model.context_length
    return replace(recipe, **{name: replace(s, context=min(s.context, most)) for name, s in stages.items()})
