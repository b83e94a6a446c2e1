"""The append-only `events.jsonl` of a run: anybody may tail it, nobody rewrites it. Torch-free."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class EventLog:
    """Writes events; each is one line, on disk before `write` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "time": round(time.time(), 3), **fields}) + "\n")
        self._file.flush()


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events in `path`, oldest first; a last line cut short by a kill is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue
