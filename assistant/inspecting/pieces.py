"""Piece: one token as a person reads it, how likely it was, and what else was likely. Reading them from the engine.

Records keeps the pieces of replies while they are made and for a while after. How they are shown is not here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.text import printable

ALTERNATIVES = 8  # told with each token
KEPT_PIECES = 40_000  # of all records together, about 40 MB; the oldest replies go first and are scored again


@dataclass(frozen=True)
class Choice:
    """A token that could have come."""

    token: int
    text: str  # as `visible` has it
    probability: float  # 0 … 1


@dataclass(frozen=True)
class Piece:
    """A token that did come; of a prompt's it is not known how likely they were."""

    token: int
    text: str
    probability: float | None = None
    choices: tuple[Choice, ...] = ()  # the likeliest first; the token itself may be among them
    special: bool = False

    @property
    def rank(self) -> int | None:
        """Its place among the choices, from 1; None where it is not among them."""
        return next((place for place, c in enumerate(self.choices, 1) if c.token == self.token), None)


def visible(text: str) -> str:
    """`text` with every character showing and none that could move a cursor: ↵ stands before a line's end."""
    shown = "".join(chr(0x2400 + ord(c)) if ord(c) < 32 and c not in "\n\t" else c for c in text)
    return printable(shown).replace("\t", "⇥").replace("\n", "↵\n")


def read_piece(row: Mapping[str, Any]) -> Piece:
    """A piece from one of the engine's rows, a prompt's or a reply's."""
    score = row.get("log_probability")
    choices = tuple(
        Choice(int(token), visible(text), math.exp(value))
        for (text, value), token in zip(row.get("alternatives", ()), row.get("ids", ()), strict=False)
    )
    probability = None if score is None else min(1.0, math.exp(score))
    return Piece(int(row["token"]), visible(row["text"]), probability, choices, bool(row.get("special")))


@dataclass
class Record:
    """The pieces of one reply, as they came."""

    model: Path
    begun: str = ""  # text that was there before, whose pieces are not known
    pieces: list[Piece] = field(default_factory=list)
    content: str | None = None  # the finished reply


class Records:
    """The replies made last, by message."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, Record] = OrderedDict()

    def begin(self, message: int, model: Path, begun: str = "", pieces: Sequence[Piece] = ()) -> None:
        self._records.pop(message, None)
        self._records[message] = Record(model, begun, list(pieces))

    def add(self, message: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Pieces that have come, as `Tokens` tells them."""
        if message in self._records:
            self._records[message].pieces += map(read_piece, rows)

    def close(self, message: int, content: str) -> None:
        """The reply is finished and is `content`."""
        if message in self._records:
            self._records[message].content = content
        while len(self._records) > 1 and sum(len(r.pieces) for r in self._records.values()) > KEPT_PIECES:
            self._records.popitem(last=False)

    def of(self, message: int) -> Record | None:
        return self._records.get(message)

    def tokens(self, message: int, content: str, model: Path) -> tuple[int, ...]:
        """The very tokens of a finished reply; none where they are another model's or it has changed since."""
        record = self._records.get(message)
        if record is None or record.begun or record.model != model or record.content != content:
            return ()
        return tuple(piece.token for piece in record.pieces)
