"""The steps of `steps.py` as sqlite_utils takes them, for a database that is not new."""

from __future__ import annotations

import importlib
import sqlite3
import sys
from collections.abc import Callable


def _sqlite_utils() -> None:
    """Import sqlite_utils without numpy and pandas, which it imports where it finds them: a fifth of our start."""
    absent = [name for name in ("numpy", "pandas") if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    try:
        importlib.import_module("sqlite_utils.db")
    finally:
        for name in absent:
            del sys.modules[name]


_sqlite_utils()
from sqlite_utils import Database, Migrations  # noqa: E402

from assistant.storage.steps import STEPS  # noqa: E402

migrations = Migrations("homespun")


def _on_database(step: Callable[[sqlite3.Connection], None]) -> Callable[[Database], None]:
    return lambda db: step(db.conn)


for _step in STEPS:
    migrations(name=_step.__name__)(_on_database(_step))
