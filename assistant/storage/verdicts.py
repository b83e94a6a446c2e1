"""Verdicts that were given: kept with the mail, searched, corrected, and deleted for good.

How a verdict comes about is `assistant/verdicts/`.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from assistant.storage.base import Base, now

SPAM_TASK = "spam"
LIST_COLUMNS = "id, task, name, subject, sender, substr(shown, 1, 200) AS shown, answer, probability, label, created"


@dataclass(frozen=True)
class Listed:
    """A verdict as a line of the history has it."""

    id: int
    task: str  # "spam", or the name of a classifier that was made here
    name: str  # of the file; "" where it was pasted
    subject: str
    sender: str
    shown: str  # the beginning
    answer: str  # "" while it has not been judged
    probability: float  # of "spam"; of the answer, for other labels
    label: str  # what a person says it is; "" where nothing was said
    created: str  # ISO 8601, UTC


@dataclass(frozen=True)
class Kept(Listed):
    """A whole verdict, with the mail."""

    text: str = ""  # the classifier's
    normaliser: int = 0  # the version that made `text`
    raw: bytes | None = None  # the mail as it came; None where that was too large to keep
    details: dict[str, Any] = field(default_factory=dict)  # see verdicts/service.py


class Verdicts(Base):
    """Statements on the table `verdicts`."""

    def begin_verdict(self, task: str, values: dict[str, Any], details: dict[str, Any]) -> int:
        """Keep a mail that is about to be judged; `values` are name, subject, sender, shown, text, normaliser, raw."""
        row = {"task": task, **values, "details": json.dumps(details), "created": now()}
        with self._writing():
            made = self._db.conn.execute(
                f"INSERT INTO verdicts ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            ).lastrowid
        assert made is not None
        return made

    def finish_verdict(self, verdict: int, answer: str, probability: float, details: dict[str, Any]) -> None:
        self._run(
            "UPDATE verdicts SET answer = ?, probability = ?, details = ? WHERE id = ?",
            answer,
            probability,
            json.dumps(details),
            verdict,
        )

    def verdict(self, verdict: int) -> Kept | None:
        rows = self._all("SELECT * FROM verdicts WHERE id = ?", verdict)
        return Kept(**{**dict(rows[0]), "details": json.loads(rows[0]["details"])}) if rows else None

    def verdicts(self, wanted: str = "", limit: int = 200) -> list[Listed]:
        """The newest first; where `wanted` has words, those with all of them in subject, sender, name or mail."""
        if not wanted.strip():
            return _listed(self._all(f"SELECT {LIST_COLUMNS} FROM verdicts ORDER BY id DESC LIMIT ?", limit))
        rows = self._all(
            f"SELECT {LIST_COLUMNS} FROM verdicts WHERE id IN "
            "(SELECT rowid FROM verdicts_fts WHERE verdicts_fts MATCH ?) ORDER BY id DESC LIMIT ?",
            self._db.utils.quote_fts(wanted.strip()) + "*",
            limit,
        )
        if not rows:  # the index knows words between spaces: a piece of Chinese is found by the text as it stands
            pattern = "%" + wanted.strip().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
            rows = self._all(
                f"SELECT {LIST_COLUMNS} FROM verdicts WHERE shown LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\' "
                "ORDER BY id DESC LIMIT ?",
                pattern,
                pattern,
                limit,
            )
        return _listed(rows)

    def label_verdict(self, verdict: int, label: str) -> None:
        """What a person says it is; "" takes that back."""
        self._run("UPDATE verdicts SET label = ? WHERE id = ?", label, verdict)

    def corrections(self, task: str, normaliser: int) -> list[tuple[str, str]]:
        """(classifier's text, label) of everything a person has labelled, by `normaliser`, the oldest first."""
        rows = self._all(
            "SELECT text, label FROM verdicts WHERE task = ? AND label != '' AND normaliser = ? ORDER BY id",
            task,
            normaliser,
        )
        return [(row["text"], row["label"]) for row in rows]

    def delete_verdict(self, verdict: int) -> None:
        """For good: off the disk, the index and the log."""
        self._run("DELETE FROM verdicts WHERE id = ?", verdict)
        self._scrub()


def _listed(rows: list[sqlite3.Row]) -> list[Listed]:
    return [Listed(**dict(row)) for row in rows]
