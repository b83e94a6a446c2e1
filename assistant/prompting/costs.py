"""What a message will cost before it is sent: the tokens of the files that go along, of folded pastes, and of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.errors import UsageError
from assistant.prompting.attaching import mentions, read
from assistant.text import printable

BYTES_A_TOKEN = 4  # of English text, about; until the model can count


@dataclass(frozen=True)
class Cost:
    """A piece and its tokens; None where it cannot be sent, for `why`."""

    name: str
    tokens: int | None
    why: str = ""


@dataclass(frozen=True)
class Pieces:
    """The parts of a message, by name; what is typed has none."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    failed: tuple[Cost, ...] = ()

    def __bool__(self) -> bool:
        return len(self.names) > 1 or bool(self.failed)

    @classmethod
    def of(cls, shown: str, folds: Mapping[str, str]) -> Pieces:
        """Those of a prompt that shows `shown`, files read from the disk."""
        parts, failed = dict(folds), []
        typed = shown
        for mark in folds:
            typed = typed.replace(mark, "")
        for mention in mentions(shown):
            name = "@" + printable(mention.written)
            try:
                parts[name] = read(mention)
            except UsageError as error:
                failed.append(Cost(name, None, str(error)))
        return cls(("", *parts), (typed, *parts.values()), tuple(failed))

    def costs(self, counts: Sequence[int] | None) -> list[Cost]:
        """With the model's counts, or by the size of the texts."""
        tokens = counts or [-(-len(text.encode()) // BYTES_A_TOKEN) for text in self.texts]
        return [*(Cost(name, n) for name, n in zip(self.names, tokens, strict=True)), *self.failed]


def told(costs: Sequence[Cost], exact: bool, limit: int | None) -> tuple[str, bool]:
    """A line about `costs`, and whether the model can read it all: `limit` tokens, the reply's included."""
    if failed := [cost.why for cost in costs if cost.tokens is None]:
        return " ".join(failed), False
    about = "" if exact else "about "
    parts = [f"{cost.name} {cost.tokens:,}" for cost in costs if cost.name]
    total = sum(cost.tokens or 0 for cost in costs)
    fits = limit is None or total < limit
    of = f" of the {limit:,} that the model can read" if limit else ""
    more = "" if fits else ": too many"
    return f"{' · '.join(parts)} · together {about}{total:,} tokens{of}{more}", fits
