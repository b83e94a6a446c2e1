"""Adopting what a run has made: into the models folder, the default from then on; and one step back, for ever after.

Owns the order of defaults and the tree of models. The folder itself is `models/shelf.py`.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assistant.errors import LearningError, ModelsError
from assistant.learning.naming import free_name
from assistant.learning.runs import Run
from assistant.models.finishing import publish
from assistant.models.shelf import Shelf
from engine.catalog import ModelInfo, base_of, describe, is_adapter
from engine.errors import ModelFolderError

HISTORY = "defaults_before"  # in settings.json: the defaults that were replaced by adopting, the last at the end
LONGEST_HISTORY = 100


def adopt(shelf: Shelf, run: Run, *, default: bool = True) -> ModelInfo:
    """Bring the model of `run` into the models folder (once), and make it the default.

    Raises:
        LearningError: the run has not made one, or its base is gone.
        ModelsError: it cannot be written.
    """
    info = adopted(shelf, run)
    if info is None:
        info = _bring(shelf, run)
    if default and run.wish.kind != "labels" and not shelf.is_default(info):
        before = shelf.default()[0].key
        shelf.set_default(info.key)
        _remember(shelf, before)
    return info


def adopted(shelf: Shelf, run: Run) -> ModelInfo | None:
    """The model in the models folder that `run` has made; None where it has not been adopted, or was removed."""
    for info in shelf.models():
        if origin(info).get("run") == run.key:
            return info
    return None


def _bring(shelf: Shelf, run: Run) -> ModelInfo:
    made = Path(str(run.result.get("model") or ""))
    if run.state != "done" or not made.is_dir():
        raise LearningError(f"{run.wish.name} has not made a model yet.")
    try:
        describe(made)
    except ModelFolderError as error:
        raise LearningError(f"What {run.wish.name} made cannot be used: {error}") from error
    shelf.make()
    name = free_name(run.wish.name, {info.path.name for info in shelf.models()})
    with shelf.holding(name):
        incoming = shelf.incoming / name
        try:
            shutil.rmtree(incoming, ignore_errors=True)
            shutil.copytree(made, incoming, copy_function=_link)
        except OSError as error:
            shutil.rmtree(incoming, ignore_errors=True)
            raise ModelsError(f"{name} cannot be copied into the models folder: {error.strerror or error}.") from error
        known = describe(made)
        facts = {
            "format_version": 1,
            "source": "trained on this computer",
            "added": datetime.now(UTC).isoformat(timespec="seconds"),
            "architecture": known.architecture,
            "parameters": known.parameters,
            "context_length": known.context_length,
            "has_template": known.has_template,
            "licence": known.licence,
            "origin": {
                "run": run.key,
                "kind": run.wish.kind,
                "method": run.wish.method,
                "base": run.result.get("base"),
            },
        }
        publish(incoming, shelf.folder / name, {key: value for key, value in facts.items() if value is not None})
    return shelf.find(name)


def _link(source: str, target: str) -> None:
    """A hard link where the disk has them: the run's folder and the model share the weights."""
    if source.endswith((".safetensors", ".gguf")):
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)


def roll_back(shelf: Shelf) -> ModelInfo:
    """Make the default what it was before the last adoption; models that are gone by now are passed over.

    Raises:
        LearningError: there is nothing to go back to.
    """
    history = _history(shelf)
    while history:
        name = history.pop()
        try:
            info = shelf.find(name)
        except ModelFolderError:
            continue
        if not shelf.is_default(info):
            shelf.set_default(name)
            _write_history(shelf, history)
            return info
    _write_history(shelf, [])
    raise LearningError("There is nothing to go back to: no model has been adopted, or those before it were removed.")


def before(shelf: Shelf) -> str:
    """The name of the model that `roll_back` would take; "" for none."""
    for name in reversed(_history(shelf)):
        with suppress(ModelFolderError):
            info = shelf.find(name)
            if not shelf.is_default(info):
                return info.key
    return ""


def _remember(shelf: Shelf, name: str) -> None:
    _write_history(shelf, [*_history(shelf), name][-LONGEST_HISTORY:])


def _history(shelf: Shelf) -> list[str]:
    found = _settings(shelf).get(HISTORY)
    return [str(name) for name in found] if isinstance(found, list) else []


def _write_history(shelf: Shelf, history: list[str]) -> None:
    shelf._write(shelf.paths.settings, {**_settings(shelf), HISTORY: history})


def _settings(shelf: Shelf) -> dict[str, Any]:
    try:
        data = json.loads(shelf.paths.settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def origin(info: ModelInfo) -> dict[str, Any]:
    """Where a model that was made here comes from; empty for others."""
    found = info.facts.get("origin")
    return found if isinstance(found, dict) else {}


def parent_of(info: ModelInfo) -> str:
    """The key of the model that `info` was made from; "" where nobody knows."""
    if base := origin(info).get("base"):
        return Path(str(base)).name
    if info.path.is_dir() and is_adapter(info.path):
        with suppress(ModelFolderError):
            return base_of(info.path).name
    return ""


@dataclass(frozen=True)
class Branch:
    """A model in the tree of models."""

    info: ModelInfo
    depth: int
    size: int  # bytes on disk


def tree(shelf: Shelf) -> list[Branch]:
    """All models, each below the one it was made from."""
    models = shelf.models()
    keys = {info.key for info in models}
    below: dict[str, list[ModelInfo]] = {}
    for info in models:
        parent = parent_of(info)
        below.setdefault(parent if parent in keys and parent != info.key else "", []).append(info)
    found: list[Branch] = []

    def add(parent: str, depth: int) -> None:
        for info in sorted(below.pop(parent, []), key=lambda one: (not one.bundled, one.key)):
            found.append(Branch(info, depth, folder_size(info.path)))
            add(info.key, depth + 1)

    add("", 0)
    for rest in [info for group in below.values() for info in group]:  # parents that go round in a circle
        found.append(Branch(rest, 0, folder_size(rest.path)))
    return found


def folder_size(path: Path) -> int:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(p.stat().st_size for p in files)
