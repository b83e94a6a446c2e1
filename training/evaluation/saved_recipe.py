"""The recipe that a run was made with, read back from the `recipe.json` in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.recipe import TABLES, LoRARecipe, Recipe
from training.recipe_data import DataRecipe, QualityRecipe, Source


def saved_recipe(run: Path) -> Recipe:
    """The recipe in `run/recipe.json`. Fields that it does not have yet keep their defaults.

    Raises:
        TrainingError: there is none, or one with fields that are not known any more.
    """
    try:
        data = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        table = data.pop("data")
        table["sources"] = tuple(Source(**source) for source in table["sources"])
        if isinstance(table.get("quality"), dict):
            table["quality"] = QualityRecipe(**table["quality"])
        return Recipe(data=DataRecipe(**table), **{name: _table(name, values) for name, values in data.items()})
    except OSError as error:
        raise TrainingError(f"The run {run} has no readable recipe.json: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{run / 'recipe.json'} was written by another version ({error}); name the recipe's own file instead."
        ) from error


def _table(name: str, values: dict[str, Any]) -> Any:
    made = _tuples(values)
    if isinstance(made.get("lora"), dict):
        made["lora"] = LoRARecipe(**_tuples(made["lora"]))
    return TABLES[name](**made)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
