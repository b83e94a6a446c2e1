"""How a verdict is printed: as a line, in full, or as JSON; and the bar that says how far a long work is."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.text import printable
from assistant.verdicts.findings import decisive, together
from assistant.verdicts.settings import per_cent
from engine.email_text.normalise import EmailText
from engine.email_text.sources import Item, total_size

TOLD = ("kind", "weight", "log_odds", "sentence")  # of a finding, in JSON
LABELS = {"spam": "SPAM", "not spam": "not spam", "unsure": "unsure"}


@dataclass(frozen=True)
class Judged:
    """One mail with its verdict, or an item that could not be read."""

    item: Item
    email: EmailText | None = None
    verdict: dict[str, Any] = field(default_factory=dict)  # protocol.Verdicts' row
    scorer: str = ""
    kind: str = ""


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
        "findings": [{key: getattr(found, key) for key in TOLD} for found in email.findings],
        "attachments": [{"name": a.name, "type": a.type} for a in email.attachments],
        "notes": notes(judged),
        "normaliser": email.version,
    }


def evidence(judged: Judged) -> list[tuple[str, float]]:
    """(words as shown, weight in log-odds) of the passages that moved the verdict."""
    if judged.email is None:
        return []
    rows = judged.verdict["evidence"]
    return [(judged.email.shown[slice(*judged.email.where(start, end))], weight) for start, end, weight in rows]


def notes(judged: Judged) -> list[str]:
    """What was left out, and what decided where that is not the mail's text."""
    if judged.email is None:
        return []
    first = (judged.item.note, decisive(judged.email, judged.verdict))
    return [*filter(None, first), *judged.email.notes]


def as_line(judged: Judged) -> str:
    """One mail in a list of many."""
    assert judged.email is not None
    subject = judged.email.fields.subject or " ".join(judged.email.shown.split())
    answer, probability = judged.verdict["answer"], judged.verdict["probability"]
    name = " ".join(judged.item.name.split("\n"))  # a verdict is one line
    return f"{LABELS[answer]:8s} {per_cent(probability):>7s}  {name}  {subject[:60]}"


def as_details(judged: Judged) -> str:
    """One mail in full: verdict, what moved it, what was found, what was left out."""
    if judged.email is None:
        return ""
    verdict = judged.verdict
    lines = [
        f"{LABELS[verdict['answer']]}: {per_cent(verdict['probability'])} likely to be spam "
        f"({judged.kind} scorer {judged.scorer}; spam from {per_cent(verdict['threshold'])} on)"
    ]
    if judged.email.fields.subject:
        lines.append(f"  Subject: {judged.email.fields.subject}")
    for sign, title in ((1, "for spam"), (-1, "against")):
        words = [f"{' '.join(w.split())} {weight:+.2f}" for w, weight in evidence(judged) if weight * sign > 0]
        if words:
            lines.append(f"  What speaks {title}: {', '.join(words[:8])}")
    found = together((finding.told, finding.weight) for finding in judged.email.findings)
    lines += [f"  - {sentence}" for sentence, _ in found[:12]]
    lines += [f"  ({note})" for note in notes(judged)]
    return "\n".join(lines)


class Bar:
    """A line on a terminal's stderr that says how far the work is, after its first second."""

    def __init__(self, names: Sequence[str]) -> None:
        self._active, self._shown = sys.stderr.isatty(), False
        self._total = total_size(names) if self._active else 0
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
