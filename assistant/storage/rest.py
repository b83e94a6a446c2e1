"""What belongs to everything beside the chats, for an archive: settings, personas, verdicts, where documents lie."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from assistant.errors import ExchangeError
from assistant.storage.base import Base
from assistant.text import printable

# Each table with the columns by which one of its rows is known again, and those that travel exactly as they are.
TABLES: dict[str, tuple[str, ...]] = {
    "settings": ("key",),
    "personas": ("name",),
    "verdicts": ("task", "text", "created"),
    "libraries": ("name",),
}
AS_THEY_ARE = {"text", "raw", "details"}


class Rest(Base):
    """Statements on whole tables."""

    def rest(self) -> dict[str, Any]:
        """The rows of all TABLES, without their numbers."""
        found: dict[str, Any] = {table: list(map(_row, self._all(f"SELECT * FROM {table}"))) for table in TABLES}
        rows = self._all(
            "SELECT l.name AS library, s.path FROM library_sources s JOIN libraries l ON l.id = s.library ORDER BY 1, 2"
        )
        return {**found, "library_sources": list(map(_row, rows))}

    def take_rest(self, rest: Mapping[str, Any]) -> None:
        """Insert what is not here yet; what is, stays as it is. Inside a transaction.

        Raises:
            ExchangeError: a row has values that cannot be.
        """
        for table, names in TABLES.items():
            for row in _rows(rest, table):
                self._take_row(table, names, row)
        for row in _rows(rest, "library_sources"):
            self._db.conn.execute(
                "INSERT OR IGNORE INTO library_sources (library, path) SELECT id, ? FROM libraries WHERE name = ?",
                (str(row.get("path")), str(row.get("library"))),
            )

    def _take_row(self, table: str, names: tuple[str, ...], row: Mapping[str, Any]) -> None:
        columns = [one["name"] for one in self._all(f"PRAGMA table_info({table})") if one["name"] in row]
        columns = [name for name in columns if name != "id"]
        values = {name: _value(name, row[name]) for name in columns}
        if not set(names) <= set(columns):
            raise ExchangeError(f"A row of its {table} has no {names[0]}.")
        same = " AND ".join(f"{name} IS ?" for name in names)
        if self._all(f"SELECT 1 FROM {table} WHERE {same}", *(values[name] for name in names)):
            return
        marks = ", ".join("?" * len(columns))
        try:
            self._db.conn.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", [values[name] for name in columns]
            )
        except (sqlite3.IntegrityError, OverflowError) as error:
            raise ExchangeError(f"A row of its {table} cannot be stored: {error}.") from error


def _row(row: sqlite3.Row) -> dict[str, Any]:
    """A row as JSON can have it."""
    values = {name: row[name] for name in row.keys() if name != "id"}  # noqa: SIM118 - a Row iterates its values
    return {k: {"base64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for k, v in values.items()}


def _rows(rest: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    rows = rest.get(table, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ExchangeError(f"Its {table} are no list.")
    return rows


def _value(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (KeyError, TypeError, binascii.Error, ValueError):
            raise ExchangeError(f"A {name} in it is broken.") from None
    if name == "created":
        from assistant.exchange.tree import moment

        return moment(value)
    if name == "details" and not _is_json(value):
        raise ExchangeError("The details of a verdict in it are broken.")
    if isinstance(value, str):
        return value if name in AS_THEY_ARE else printable(value)
    if value is None or isinstance(value, int | float):
        return value
    raise ExchangeError(f"A {name} in it is broken.")


def _is_json(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, TypeError):
        return False
