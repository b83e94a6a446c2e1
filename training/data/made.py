"""Whether what a run holds, its documents and its vocabulary, was made with the recipe that is followed now.

A stage that trains reads tokens that were made before. Where the recipe has changed since then this is said, and not
passed over. What is only read when the tokens are mixed (epochs, weights, licences) may change at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.data.prepare import without_mix
from training.errors import RecipeError
from training.recipe import Recipe

LATER = {"compare"}  # of [tokenizer]: for a report alone


def check_documents(recipe: Recipe, run: Path) -> None:
    """Refuse documents of another recipe.

    Raises:
        RecipeError: it names the first difference.
    """
    if (run / "prepared.json").is_file():
        old = json.loads((run / "prepared.json").read_text(encoding="utf-8"))["recipe"]
        _compare("data", old, without_mix(recipe.data), run, "documents", "prepare and tokenizer stages")


def check_tokens(recipe: Recipe, run: Path) -> None:
    """Refuse documents, or a vocabulary, of another recipe.

    Raises:
        RecipeError: it names the first difference.
    """
    check_documents(recipe, run)
    if (run / "vocabulary.json").is_file() and not recipe.base.model:
        old = json.loads((run / "vocabulary.json").read_text(encoding="utf-8"))
        _compare("tokenizer", old, asdict(recipe.tokenizer), run, "vocabulary", "tokenizer stage")


def _compare(table: str, old: Any, new: Any, run: Path, what: str, again: str) -> None:
    for name, was, now in _differences(old, new, table):
        if name.rpartition(".")[2] not in LATER:
            raise RecipeError(
                f"The {what} in {run} came from another recipe: {name} was {was!r} and is {now!r} now. "
                f"Do the {again} again, put it back, or choose another folder with --run."
            )


def _differences(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """(name, old value, new value) of what both tables have and do not agree on; lists of tables go by their names."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() & new.keys()):
            yield from _differences(old[key], new[key], f"{name}.{key}")
    elif name == "data.sources":
        names = [[source["name"] for source in sources] for sources in (old, new)]
        if names[0] != names[1]:
            yield name, ", ".join(names[0]), ", ".join(names[1])
        else:
            for before, after in zip(old, new, strict=True):
                yield from _differences(before, after, f"{name}.{before['name']}")
    elif old != new:
        yield name, old, new
