"""Folds: long pieces of text that the prompt shows as one short mark each. What is sent is always whole.

In a draft, a fold stands between two separators (U+001D). Text that people type or paste never has them: `printable`
takes control characters out.
"""

from __future__ import annotations

import re

from assistant.text import printable

SEPARATOR = "\x1d"
_FOLDED = re.compile(f"{SEPARATOR}([^{SEPARATOR}]*){SEPARATOR}")


class Folds:
    """Marks and the texts they stand for."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._texts)

    def fold(self, text: str) -> str:
        """A mark for `text`, unlike those of the other folds."""
        lines = text.count("\n") + (not text.endswith("\n"))
        count = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        mark = f"[pasted: {count} #{len(self._texts) + 1}]"
        self._texts[mark] = text
        return mark

    def used(self, shown: str) -> dict[str, str]:
        """The folds whose marks are in `shown`, in order, each with its text."""
        found = [(shown.find(mark), mark) for mark in self._texts]
        return {mark: self._texts[mark] for place, mark in sorted(found) if place >= 0}

    def whole(self, shown: str) -> str:
        """`shown` with the texts in the place of their marks."""
        return self._replaced(shown, "")

    def draft(self, shown: str) -> str:
        """As `whole`, with separators around each fold, for `from_draft`."""
        return self._replaced(shown, SEPARATOR)

    def _replaced(self, shown: str, around: str) -> str:
        used = self.used(shown)
        if not used:
            return shown
        marks = re.compile("|".join(map(re.escape, used)))
        return marks.sub(lambda found: f"{around}{used[found[0]]}{around}", shown)

    def from_draft(self, draft: str) -> str:
        """Begin anew with the folds in `draft`; returns what is shown of it."""
        self._texts = {}
        shown = _FOLDED.sub(lambda found: self.fold(printable(found[1])), draft)
        return shown.replace(SEPARATOR, "")

    def around(self, line: str, column: int) -> tuple[int, int] | None:
        """Where the mark begins and ends that `column` of `line` is inside of."""
        for mark in self._texts:
            place = line.find(mark)
            while place >= 0:
                if place < column < place + len(mark):
                    return place, place + len(mark)
                place = line.find(mark, place + 1)
        return None


def unfolded(draft: str) -> str:
    """A draft as it would be sent."""
    return draft.replace(SEPARATOR, "")
