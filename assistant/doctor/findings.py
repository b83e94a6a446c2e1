"""Finding: what the doctor found about one thing, and what to do about it. How it is found out is its neighbours'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["good", "note", "warning", "problem"]
SIGNS: dict[Level, str] = {"good": "ok", "note": "--", "warning": "!", "problem": "!!"}


@dataclass(frozen=True)
class Finding:
    """`note`: worth knowing; `warning`: works, but not as it could; `problem`: something does not work."""

    level: Level
    about: str  # the thing, in a word or two
    said: str  # a sentence
    advice: str = ""  # what to do; every warning and problem has one

    def as_json(self) -> dict[str, str]:
        return {"level": self.level, "about": self.about, "said": self.said, "advice": self.advice}
