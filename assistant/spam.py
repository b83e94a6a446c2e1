"""`homespun spam`: mails from files, folders or a pipe → verdicts on standard output, one after the other.

Owns the batches between reading and the engine, what is printed, and the exit status. Reading and normalising are
`engine/email_text`; judging happens in the engine's worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant import spam_moves
from assistant.engine_client import EngineClient
from assistant.errors import UsageError
from assistant.text import printable
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sources import Item, is_maildir, read_all, total_size
from engine.protocol import Classify, Verdicts

NOT_SPAM, SPAM, ERROR, UNSURE = 0, 1, 2, 3  # exit statuses
BATCH_MAILS, BATCH_CHARACTERS, BATCH_SECONDS = 64, 400_000, 0.5
LABELS = {"spam": "SPAM", "not spam": "not spam", "unsure": "unsure"}


@dataclass(frozen=True)
class SpamWishes:
    """The options of the command."""

    names: tuple[str, ...]
    scorer: Path | None = None
    false_alarms: float = 0.001
    as_json: bool = False
    details: bool = False
    move: Path | None = None


@dataclass(frozen=True)
class Judged:
    """One mail with its verdict, or an item that could not be read."""

    item: Item
    email: EmailText | None = None
    verdict: dict[str, Any] = field(default_factory=dict)  # protocol.Verdicts' row
    scorer: str = ""
    kind: str = ""


def batches(items: Iterator[Item]) -> Iterator[list[tuple[Item, EmailText | None]]]:
    """Items with their normalised mails, in growing batches, so that the first verdict comes at once."""
    batch: list[tuple[Item, EmailText | None]] = []
    size, most, began = 0, 1, time.monotonic()
    for item in items:
        email = None if item.error else normalise(item.raw)
        batch.append((item, email))
        size += len(email.text) if email else 0
        late = time.monotonic() - began > BATCH_SECONDS
        if len(batch) >= most or size >= BATCH_CHARACTERS or late:
            yield batch
            batch, size, most, began = [], 0, min(most * 4, BATCH_MAILS), time.monotonic()
    if batch:
        yield batch


async def judge(items: Iterator[Item], client: EngineClient, wishes: SpamWishes) -> AsyncIterator[Judged]:
    """Every item judged, in order. The next batch is read while the engine judges the one before.

    Raises:
        EngineError, WorkerDied: with a sentence each.
    """
    source = batches(items)
    waiting: tuple[list[tuple[Item, EmailText | None]], asyncio.Task[Any]] | None = None
    try:
        while True:
            batch = await asyncio.to_thread(next, source, None)
            task = asyncio.create_task(_ask(client, batch, wishes)) if batch else None
            if waiting is not None:
                for judged in _together(waiting[0], await waiting[1]):
                    yield judged
            waiting = (batch, task) if batch and task else None
            if batch is None:
                return
    finally:
        if waiting is not None:
            waiting[1].cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting[1]


async def _ask(
    client: EngineClient, batch: Sequence[tuple[Item, EmailText | None]], wishes: SpamWishes
) -> Verdicts | None:
    texts = tuple(email.text for _, email in batch if email is not None)
    if not texts:
        return None
    scorer = str(wishes.scorer) if wishes.scorer else ""
    wanted = wishes.as_json or wishes.details
    answer = await client.ask(Classify("", texts, scorer, wishes.false_alarms, evidence=wanted))
    assert isinstance(answer, Verdicts)
    return answer


def _together(batch: Sequence[tuple[Item, EmailText | None]], answer: Verdicts | None) -> Iterator[Judged]:
    rows = iter(answer.verdicts if answer else ())
    for item, email in batch:
        if email is None or answer is None:
            yield Judged(item)
        else:
            yield Judged(item, email, next(rows), answer.scorer, answer.scorer_kind)


async def run(wishes: SpamWishes) -> int:
    """Judge everything `wishes` names, print it, and return the exit status.

    Of several mails: 2 when one could not be read, else 1 when one is spam, else 3 when one is unsure, else 0.
    """
    if wishes.move is not None:
        spam_moves.prepare(wishes.move)
    names = wishes.names
    one = len(names) == 1 and (names[0] == "-" or not Path(os.path.expanduser(names[0])).is_dir())
    client = EngineClient(Path())
    counts: Counter[str] = Counter()
    bar = _Bar(names)
    held: Judged | None = None  # a first mail waits to be seen alone: then it is shown in full
    wishes_ = wishes if not one or wishes.as_json else SpamWishes(**{**vars(wishes), "details": True})
    try:
        async for judged in judge(read_all(names, sys.stdin.buffer), client, wishes_):
            counts[judged.verdict.get("answer", "unread")] += 1
            bar.clear()
            if one and counts.total() == 1 and not wishes.as_json:
                held = judged
            else:
                if held is not None:
                    _show(held, wishes)
                    held = None
                _show(judged, wishes)
            if wishes.move is not None:
                counts["moved"] += _move(judged, wishes.move)
            bar.step(judged.item.size)
        if held is not None:
            _show(held, wishes_)
    finally:
        bar.clear()
        await client.close()
    moved = counts.pop("moved", 0)
    if counts.total() > 1:
        parts = ", ".join(f"{n} {answer}" for answer, n in counts.most_common())
        _tell(f"{counts.total():,} mails: {parts}{f'; {moved} moved' if moved else ''}.")
    for status, answer in ((ERROR, "unread"), (SPAM, "spam"), (UNSURE, "unsure")):
        if counts[answer]:
            return status
    return NOT_SPAM


def _tell(sentence: str) -> None:
    """A sentence beside the verdicts, on stderr."""
    sys.stderr.write(printable(sentence) + "\n")


def _show(judged: Judged, wishes: SpamWishes) -> None:
    if judged.item.error:
        _tell(f"Error: {judged.item.error}")
        if not wishes.as_json:
            return
    if wishes.as_json:
        line = json.dumps(as_json(judged), ensure_ascii=False)
    elif wishes.details:
        line = as_details(judged)
    else:
        line = as_line(judged)
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def as_json(judged: Judged) -> dict[str, Any]:
    """The object of one line of --json; evidence carries the words as they stand in the mail."""
    if judged.email is None:
        return {"name": printable(judged.item.name), "error": printable(judged.item.error)}
    email, verdict = judged.email, judged.verdict
    return {
        "name": printable(judged.item.name),
        **{key: verdict[key] for key in ("answer", "probability", "threshold")},
        "scorer": judged.scorer,
        "scorer_kind": judged.kind,
        "subject": email.fields.subject,
        "from": email.fields.from_address,
        "evidence": [{"text": words, "weight": weight} for words, weight in evidence(judged)],
        "findings": [{"kind": f.kind, "weight": f.weight, "sentence": f.sentence} for f in email.findings],
        "attachments": [{"name": a.name, "type": a.type} for a in email.attachments],
        "notes": [*([judged.item.note] if judged.item.note else []), *email.notes],
        "normaliser": email.version,
    }


def evidence(judged: Judged) -> list[tuple[str, float]]:
    """(words as shown, weight in log-odds) of the passages that moved the verdict."""
    if judged.email is None:
        return []
    rows = judged.verdict["evidence"]
    return [(judged.email.shown[slice(*judged.email.where(start, end))], weight) for start, end, weight in rows]


def as_line(judged: Judged) -> str:
    """One mail in a list of many."""
    assert judged.email is not None
    subject = judged.email.fields.subject or " ".join(judged.email.shown.split())
    answer, probability = judged.verdict["answer"], judged.verdict["probability"]
    return f"{LABELS[answer]:8s} {probability:6.1%}  {judged.item.name}  {subject[:60]}"


def as_details(judged: Judged) -> str:
    """One mail in full: verdict, what moved it, what was found, what was left out."""
    if judged.email is None:
        return ""
    verdict = judged.verdict
    lines = [
        f"{LABELS[verdict['answer']]}: {verdict['probability']:.1%} likely to be spam "
        f"({judged.kind} scorer {judged.scorer}; spam from {verdict['threshold']:.1%} on)"
    ]
    if judged.email.fields.subject:
        lines.append(f"  Subject: {judged.email.fields.subject}")
    for sign, title in ((1, "for spam"), (-1, "against")):
        words = [f"{' '.join(w.split())} {weight:+.2f}" for w, weight in evidence(judged) if weight * sign > 0]
        if words:
            lines.append(f"  What speaks {title}: {', '.join(words[:8])}")
    lines += [f"  - {finding.sentence}" for finding in judged.email.findings[:12]]
    notes = [judged.item.note] if judged.item.note else []
    lines += [f"  ({note})" for note in [*notes, *judged.email.notes]]
    return "\n".join(lines)


def _move(judged: Judged, target: Path) -> int:
    """Move the mail when it is spam and a Maildir's; 1 when it was."""
    path = judged.item.path
    if judged.verdict.get("answer") != "spam" or path is None:
        return 0
    if not (path.parent.name in ("cur", "new") and is_maildir(path.parent.parent)):
        return 0
    if path.parent.parent.resolve() == target.resolve():
        return 0  # it lies there already
    try:
        spam_moves.move(path, target)
    except OSError as error:
        _tell(f"Error: {path} was not moved: {(error.strerror or str(error)).lower()}.")
        return 0
    return 1


class _Bar:
    """A line on a terminal's stderr that says how far the work is, after its first second."""

    def __init__(self, names: Sequence[str]) -> None:
        self._total = total_size(names) if sys.stderr.isatty() else 0
        self._active, self._shown = sys.stderr.isatty(), False
        self._done = self._mails = 0
        self._began = self._last = time.monotonic()

    def step(self, size: int) -> None:
        self._done, self._mails, now = self._done + size, self._mails + 1, time.monotonic()
        if not self._active or now - self._began < 1 or now - self._last < 0.1:
            return
        self._last, self._shown = now, True
        rate = f"{self._mails:,} mails, {self._mails / (now - self._began):,.0f} a second"
        share = min(self._done / self._total, 1.0) if self._total else 0.0
        drawn = f"[{'#' * int(share * 30):30s}] {share:4.0%}  " if self._total else ""
        sys.stderr.write(f"\r\x1b[K{drawn}{rate}")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = False


def undo(target: Path) -> None:
    """`homespun spam --undo DIR`.

    Raises:
        UsageError: nothing was moved there, or some of it could not be moved back.
    """
    back, stays = spam_moves.undo(target)
    sys.stdout.write(f"{back} mail{'s' * (back != 1)} moved back.\n")
    if stays:
        raise UsageError(" ".join(stays))
