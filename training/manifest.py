"""Manifests: which public sources there are, from where, under which licence, and their weights. Torch-free.

A manifest (`sources.toml`) is a list of `[[sources]]` with the keys of `Source`. Recipes may stand on one and then name
only what they change; `data/fetch.py` downloads what has a URL.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from training.errors import RecipeError
from training.recipe_build import build
from training.recipe_data import Source


def load_manifest(path: Path) -> tuple[Source, ...]:
    """The sources in `path`.

    Raises:
        RecipeError: unreadable, unknown keys, two sources of one name, a source without path and URL.
    """
    return tuple(build(Source, row, f"{path}: {row.get('name', 'a source')}") for row in _rows(path))


def sources_of(table: dict[str, Any], folder: Path, where: str) -> tuple[Source, ...]:
    """The sources of a recipe's `[data]` table, `sources` taken out of it; its manifest lies below `folder`.

    A source fills what it does not say from the manifest's source of the same name. Without a list of its own the
    recipe has all of the manifest's.
    """
    rows: list[dict[str, Any]] = table.pop("sources", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecipeError(f"{where}: sources must be a list of tables, not {rows!r}.")
    manifest = table.get("manifest", "")
    if not isinstance(manifest, str):
        raise RecipeError(f"{where}: manifest must be of type str, not {manifest!r}.")
    known = {row["name"]: row for row in _rows(folder / manifest)} if manifest else {}
    if not rows:
        rows = list(known.values())
    rows = [known.get(row.get("name", ""), {}) | row for row in rows]
    _unique(rows, where)
    return tuple(build(Source, row, f"{where}.sources") for row in rows)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"The manifest {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The manifest {path} is not valid TOML: {error}.") from error
    rows = data.pop("sources", [])
    if data or not rows or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RecipeError(f"{path}: a manifest is a list of [[sources]] and nothing else.")
    _unique(rows, str(path))
    return [{"path": _name_in(row.get("url", "")), **row} if row.get("url") else row for row in rows]


def _unique(rows: list[dict[str, Any]], where: str) -> None:
    names = [row.get("name") for row in rows]
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise RecipeError(f"{where}: two sources are named {twice[0]!r}.")


def _name_in(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name
