"""A TOML table → the dataclass it stands for: unknown keys and wrong types are refused in one sentence. Torch-free."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from training.errors import RecipeError
from training.recipe_tables import LoRARecipe

PLAIN: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def alike(name: str, known: Iterable[str]) -> str:
    """The word that was meant, probably."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}? " if near else ""


def _fits(value: Any, kind: str) -> bool:
    """Whether `value` is of the plain type `kind`; a number has to be finite, and true is none."""
    right = isinstance(value, PLAIN.get(kind, (object,))) and not (isinstance(value, bool) and kind != "bool")
    return right and not (isinstance(value, float) and not math.isfinite(value))


def build(cls: Any, table: Any, where: str) -> Any:
    """An instance of dataclass `cls` from a TOML table, its keys and plain types checked."""
    if not isinstance(table, dict):
        raise RecipeError(f"{where} must be a table, not {table!r}.")
    known = {f.name: f for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}; {alike(key, known)}known are {', '.join(known)}.")
        kind = str(known[key].type)
        wrong = RecipeError(f"{where}: {key} must be of type {kind}, not {value!r}.")
        if kind == "LoRARecipe | None":
            value = build(LoRARecipe, value, f"{where.removesuffix(']')}.{key}]")
        elif kind.startswith("tuple[") and key != "sources":
            parts = PLAIN[kind.removeprefix("tuple[").removesuffix(", ...]")]
            value = (value,) if isinstance(value, parts) else value
            if not isinstance(value, list | tuple) or not all(isinstance(part, parts) for part in value):
                raise wrong
            value = tuple(value)
        elif not _fits(value, kind):
            raise wrong
        elif kind.startswith("Literal") and repr(value) not in kind.replace('"', "'"):
            raise RecipeError(f"{where}: {key} must be one of {kind.removeprefix('Literal')}, not {value!r}.")
        values[key] = value
    try:
        return cls(**values)
    except TypeError as error:
        raise RecipeError(f"{where}: {str(error).removeprefix('__init__() ')}.") from error
