"""What goes over the worker's pipe inherits from one of these. The messages are `protocol.py` and `questions.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Message:
    """Shared by both directions. Subclasses set `kind`, the name on the wire."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True)
class Question(Message):
    """From the app; gets exactly one OneAnswer, or Failed."""

    of_model: ClassVar[bool] = True  # the model that is loaded answers it
    request: str  # the caller's name for it; comes back with the answer


@dataclass(frozen=True)
class OneAnswer(Message):
    """All that is said to a Question."""

    request: str
