"""Finding: one thing that anybody can check in a mail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    kind: str  # a stable name, such as "link-mismatch"
    sentence: str  # for people
    weight: float  # -1 … 1: how much it speaks for spam; below 0 against it
    start: int = -1  # its place in EmailText.shown; -1: it has none
    end: int = -1
    log_odds: float = 0.0  # what it adds to the verdict's; most explain only

    @property
    def told(self) -> str:
        """Its sentence, with what it adds, which stays on one line with its end."""
        return f"{self.sentence}\xa0{self.log_odds:+.1f}" if self.log_odds else self.sentence
