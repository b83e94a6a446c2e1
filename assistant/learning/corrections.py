"""Verdicts of the spam check that a person called wrong, or right, as things that its scorer may learn from."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from assistant.errors import LearningError
from assistant.learning.reviewing import Choice, hash_of
from assistant.storage.store import Store
from assistant.storage.verdicts import SPAM_TASK
from engine.email_text.normalise import VERSION

NONE_YET = "There are no corrections to learn from yet: the spam check takes them, where a verdict was wrong"


class Corrections:
    """The labels in one store. See `reviewing.Reviewed`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[tuple[str, str]]:
        """(the normaliser's text, label) of each, the older first; of a mail that came twice, what was said last."""
        return list(dict(self._store.corrections(SPAM_TASK, VERSION)).items())

    def count(self) -> str:
        there = len(self.all())
        return f"{there} correction{'s' * (there != 1)}" if there else ""

    def choices(self) -> list[Choice]:
        return [
            Choice(hash_of(text), label, (("→", text, "red" if label == "spam" else "green"),))
            for text, label in self.all()
        ]

    def used(self, left_out: set[str] = frozenset()) -> list[tuple[str, str]]:  # type: ignore[assignment]
        return [(text, label) for text, label in self.all() if hash_of(text) not in left_out]

    def summary(self, left_out: set[str] = frozenset()) -> str:  # type: ignore[assignment]
        used = self.used(left_out)
        if not used and not left_out:
            return f"{NONE_YET}."
        counts = Counter(label for _, label in used)
        parts = ", ".join(f"{count} {label}" for label, count in counts.most_common())
        said = f"{len(used)} correction{'s' if len(used) != 1 else ''}" + (f" ({parts})" if parts else "")
        gone = len(self.all()) - len(used)
        return said + (f", {gone} left out." if gone else ".")

    def write(self, path: Path, left_out: set[str] = frozenset()) -> Path:  # type: ignore[assignment]
        used = self.used(left_out)
        if not used:
            raise LearningError(self.summary(left_out))
        lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in used)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise LearningError(f"{path} cannot be written: {error.strerror}.") from error
        return path
