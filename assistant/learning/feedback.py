"""What a person said about replies, as preference pairs: which there are, which are to be used, and the lab's file.

Nothing is used unasked: pairs are made when a run on feedback is prepared, and shown row by row before it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import LearningError
from assistant.learning.reviewing import Choice, hash_of
from assistant.storage.feedback import BAD, GOOD, Marked
from assistant.storage.store import Store

FEW = 8  # pairs below which a run is refused by the lab


@dataclass(frozen=True)
class Pair:
    """A better and a worse reply to the same chat."""

    key: str  # tells it from others
    prompt: tuple[dict[str, str], ...]
    chosen: str
    rejected: str
    why: str  # where the preference comes from

    @property
    def question(self) -> str:
        return self.prompt[-1]["content"] if self.prompt else ""


class Feedback:
    """The marks in one store. See `reviewing.Reviewed`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def count(self) -> str:
        marks = self._store.marks_count()
        return f"{marks} mark{'s' * (marks != 1)}" if marks else ""

    def pairs(self) -> list[Pair]:
        """Every pair there is, the older first, each once."""
        families: dict[tuple[int, int | None], list[Marked]] = defaultdict(list)
        for reply in self._store.marked():
            families[(reply.chat, reply.parent)].append(reply)
        found: dict[tuple[str, str, str], Pair] = {}
        for (_, parent), replies in families.items():
            prompt = self._store.way_to(parent)
            if not prompt or prompt[-1]["role"] != "user":
                continue  # a greeting that nobody asked for
            for chosen, rejected, why in preferences(replies):
                key = f"{prompt[-1]['content'][:40]}|{hash_of(chosen, rejected)}"
                same = (json.dumps(prompt), chosen, rejected)
                found.setdefault(same, Pair(key, tuple(prompt), chosen, rejected, why))
        return list(found.values())

    def choices(self) -> list[Choice]:
        return [
            Choice(p.key, p.why, (("?", p.question, ""), ("+", p.chosen, "green"), ("−", p.rejected, "red")))
            for p in self.pairs()
        ]

    def summary(self, left_out: set[str] = frozenset()) -> str:  # type: ignore[assignment]
        pairs = self.pairs()
        used = sum(pair.key not in left_out for pair in pairs)
        said = f"{used} pair{'s' if used != 1 else ''} of a better and a worse reply"
        if used < len(pairs):
            said += f", {len(pairs) - used} left out"
        if used < FEW:
            said += f"; at least {FEW} are needed. In a chat, + and - mark a reply, and - asks for a better one"
        return said + "."

    def write(self, path: Path, left_out: set[str]) -> Path:
        pairs = [pair for pair in self.pairs() if pair.key not in left_out]
        if not pairs:
            raise LearningError(self.summary(left_out))
        rows: list[dict[str, Any]] = [
            {"prompt": _prompt(pair.prompt), "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs
        ]
        try:
            path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
        except OSError as error:
            raise LearningError(f"{path} cannot be written: {error.strerror}.") from error
        return path


def preferences(replies: list[Marked]) -> Iterator[tuple[str, str, str]]:
    """(better, worse, why) of the siblings `replies`.

    A better answer beats the reply it was given to; a reply marked good beats its siblings marked bad; what a person
    wrote in place of a reply beats the replies beside it that are not marked good.
    """
    for reply in replies:
        if reply.better and reply.better != reply.content:
            yield reply.better, reply.content, "a better answer was given"
    good = [r for r in replies if r.mark == GOOD]
    bad = [r for r in replies if r.mark == BAD]
    yield from ((a.content, b.content, "one marked good, one bad") for a in good for b in bad if a.content != b.content)
    for edited in (r for r in replies if r.edited and r.mark != BAD):
        for other in replies:
            if not other.edited and other.mark != GOOD and other.content != edited.content:
                yield edited.content, other.content, "changed by hand"


def _prompt(prompt: tuple[dict[str, str], ...]) -> Any:
    """One question as a text, a chat as its messages."""
    return prompt[0]["content"] if len(prompt) == 1 else list(prompt)
