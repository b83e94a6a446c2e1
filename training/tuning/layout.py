"""Laying out: a wish's files → the run's own copy of the examples, its recipe, and rows that say what became of each.

What is previewed is what is trained: the preview lays out a folder in the same way and shows it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.data.prepare import documents_path
from training.data.vocabulary import Vocabulary
from training.errors import TrainingError
from training.recipe_wish import Wish
from training.tuning.recipes import REPLAY, Amounts

ENOUGH = {"answers": 3, "feedback": 8, "labels": 10}  # fewer examples teach next to nothing, or nothing at all
HELD_OUT = "held out: only measured"
REPLAY_HELD_OUT = 24  # dialogues of the retained set that only measure


@dataclass
class Row:
    """One example as the model will see it."""

    place: str  # the file and the line in it
    parts: list[tuple[str, int]] = field(default_factory=list)  # (text of a token, 1 where it is learned)
    tokens: int = 0
    problem: str = ""  # why it is left out; "" when it is learned from
    note: str = ""  # what else is to be known: "held out", "answers otherwise than …"


@dataclass
class Laid:
    """What has been laid out."""

    amounts: Amounts
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)  # of the recipe's [data]
    held_out: list[dict[str, Any]] = field(default_factory=list)  # chats or texts that only measure
    prompts: list[str] = field(default_factory=list)  # what old and new model are compared on
    pairs: list[list[str]] = field(default_factory=list)  # [question, answer] that are asked afterwards
    length_prompts: list[str] = field(default_factory=list)  # replies to which are counted in words

    def counts(self) -> dict[str, int]:
        """How many rows are learned from, and how many are left out, by reason."""
        reasons = Counter(_reason(row.problem or row.note) for row in self.rows if row.problem or row.note == HELD_OUT)
        return {"learned": len(self.rows) - sum(reasons.values()), **reasons}


def _reason(problem: str) -> str:
    """`problem` without the place that it names."""
    if problem.startswith("the same as"):
        return "said before"
    return "said otherwise before" if problem.startswith("answers otherwise") else problem


def too_few(wish: Wish, laid: Laid, what: str) -> None:
    """Refuse a run that cannot teach anything, and say what became of the rows.

    Raises:
        TrainingError: with the numbers.
    """
    counts, least = laid.counts(), ENOUGH.get(wish.kind, 1)
    learned = counts.pop("learned")
    if learned >= least:
        return
    why = "; ".join(f"{count} left out: {reason}" for reason, count in counts.items())
    raise TrainingError(
        f"There are {learned or 'no'} {what} to learn from, and at least {least} are needed"
        + (f" ({why})." if why else ".")
    )


def shown(vocabulary: Vocabulary, ids: Iterable[int], mask: Iterable[int]) -> list[tuple[str, int]]:
    """The tokens as text, each with whether it is learned; pieces of one character stand together."""
    parts: list[tuple[str, int]] = []
    waiting, special = b"", {token: name for name, token in vocabulary.tokenizer.special_tokens.items()}
    for token, learned in zip(ids, mask, strict=True):
        if token in special:
            parts.append((special[token], int(learned)))
            continue
        piece = vocabulary.tokenizer.token_bytes(token)
        waiting += piece or vocabulary.tokenizer.decode([token]).encode()
        try:
            parts.append((waiting.decode(), int(learned)))
            waiting = b""
        except UnicodeDecodeError:
            continue
    return [*parts, (waiting.decode("utf-8", "replace"), 0)] if waiting else parts


def write_documents(run: Path, split: str, name: str, documents: Iterable[dict[str, Any]]) -> int:
    """Write documents where the lab expects prepared ones; returns how many. A file that is the same is not touched."""
    path = documents_path(run, split, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
    text = "".join(lines)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return len(lines)


def replayed(wish: Wish, vocabulary: Vocabulary, count: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(dialogues to be seen again, dialogues of the same kind that only measure): what the base knows already.

    They are spread evenly over the sample that ships; too long ones for the wish's context are left out.
    """
    with REPLAY.open(encoding="utf-8") as file:
        chats = [{"messages": json.loads(line)["messages"]} for line in file]
    fitting = [c for c in chats if len(vocabulary.template.encode(c["messages"])) <= wish.context]
    every = max(len(fitting) // REPLAY_HELD_OUT, 1)
    apart = fitting[::every][:REPLAY_HELD_OUT]
    rest = [c for c in fitting if c not in apart]
    step = max(len(rest) / max(count, 1), 1.0)
    return [rest[int(i * step)] for i in range(min(count, len(rest)))], apart
