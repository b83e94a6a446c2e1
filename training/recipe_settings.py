"""Settings: fields of a recipe given on the command line, as `pretrain.lr=0.01`, over what its file says. Torch-free.

Owns their spelling. Whether a value is possible is said where a recipe's own values are checked (`recipe.py`,
`recipe_rules.py`), since settings go into the recipe's tables before these are read.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from training.errors import RecipeError
from training.recipe_data import DataRecipe, QualityRecipe, Source
from training.recipe_tables import TABLES, LoRARecipe, Recipe

INNER = {"lora": LoRARecipe, "quality": QualityRecipe}  # tables inside tables


def put_settings(data: dict[str, Any], settings: Sequence[str]) -> None:
    """Put `settings` into a recipe's tables `data`, as they come from TOML; the last word on a field counts.

    Raises:
        RecipeError: one that is no `table.field=value`, or names no field of a recipe.
    """
    for setting in settings:
        path, value = read_setting(setting)
        place = data
        for name in path[:-1]:
            place = _inside(place, name, setting)
        place[path[-1]] = value


def read_setting(setting: str) -> tuple[list[str], Any]:
    """(the names that lead to the field, its value) of `table.field=value`.

    A value is written as in TOML, but words need no quotation marks.

    Raises:
        RecipeError: as above.
    """
    name, equals, text = setting.partition("=")
    path = name.strip().split(".")
    if not equals or len(path) < 2:
        raise RecipeError(f"{setting!r} is not a setting; write table.field=value, such as pretrain.lr=0.01.")
    return path, read_value(text.strip(), _kind_of(path, setting))


def read_value(text: str, kind: str = "") -> Any:
    """A value as TOML has it; what is not TOML, and all of a field of type str, is taken as words."""
    quoted = text[:1] in ("'", '"')
    if kind == "str" and not quoted:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _kind_of(path: list[str], setting: str) -> str:
    """The type of the field that `path` leads to, as its dataclass has it."""
    table: Any = Recipe
    names = path[1:]
    _known(path[0], [f.name for f in fields(Recipe)], "table", setting)
    table = {**TABLES, "data": DataRecipe}[path[0]]
    if path[:2] == ["data", "sources"] and len(path) == 4:
        table, names = Source, names[2:]
    elif len(names) == 2 and names[0] in INNER:
        _known(names[0], [f.name for f in fields(table)], "field", setting)
        table, names = INNER[names[0]], names[1:]
    _known(".".join(names), [f.name for f in fields(table)], "field", setting)
    return next(str(f.type) for f in fields(table) if f.name == names[0])


def _known(name: str, names: Iterable[str], what: str, setting: str) -> None:
    names = list(names)
    if name in names:
        return
    alike = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {alike[0]}?" if alike else f"there are {', '.join(names)}."
    raise RecipeError(f"{setting!r}: a recipe has no {what} {name!r} there; {hint}")


def _inside(place: Any, name: str, setting: str) -> Any:
    """The table called `name` in `place`, made if it is missing; of a list of tables the one with that name."""
    if isinstance(place, list):
        found = next((row for row in place if isinstance(row, dict) and row.get("name") == name), None)
        if found is None:
            _known(name, [str(row.get("name")) for row in place if isinstance(row, dict)], "source", setting)
        return found
    inner = place.setdefault(name, [] if name == "sources" else {})
    if not isinstance(inner, dict | list):
        raise RecipeError(f"{setting!r}: {name} is no table in this recipe.")
    return inner
