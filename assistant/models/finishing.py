"""The last step of adding a model: its facts are written beside it, all is on disk, and it gets its name at once."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from assistant.errors import ModelsError
from engine.catalog import FACTS


def publish(folder: Path, target: Path, facts: dict[str, Any]) -> None:
    """Write `facts` into `folder`, make it durable, and rename it to `target`.

    Raises:
        ModelsError: it cannot be written, or `target` is there by now.
    """
    try:
        (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in (*folder.iterdir(), folder):
            if not path.is_symlink():
                _sync(path)
        if target.exists():  # renaming onto an empty folder would succeed
            raise ModelsError(f"There is a model called {target.name} already.")
        folder.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise ModelsError(f"The model cannot be written: {error.strerror or error}.") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def card_licence(folder: Path) -> str | None:
    """The licence that the header of the folder's README.md names."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")[:65536]
    except OSError:
        return None
    header = re.match(r"---\s*\n(.*?)\n---", card, re.DOTALL)
    found = re.search(r"^licen[sc]e:\s*[\"']?([\w.+-]+)", header[1], re.MULTILINE) if header else None
    return found[1] if found else None
