"""The spam corpora as mails: reading them, undoing what their makers did to the text, dropping doubles.

Files are `<name>.jsonl` or `.jsonl.bz2` with `label` ("spam" or "ham") and `text`, perhaps `subject`, `from`, `date`.
"""

from __future__ import annotations

import bz2
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from training.errors import TrainingError
from training.spam.accent import undo_tokenised

CORPORA = {"spamassassin": "spamassassin", "enron": "enron_spam", "sms": "sms_spam_collection"}


@dataclass(frozen=True)
class Mail:
    """One labelled mail, its text as close to what was sent as can be."""

    text: str
    subject: str
    spam: bool
    source: str  # a key of CORPORA
    sender: str = ""
    sent: datetime | None = None


def read_corpus(name: str, folder: Path) -> list[Mail]:
    """The mails of corpus `name` in `folder`, without doubles.

    Raises:
        TrainingError: the file is not there or not readable.
    """
    path = next((p for end in (".jsonl.bz2", ".jsonl") if (p := folder / f"{CORPORA[name]}{end}").is_file()), None)
    if path is None:
        raise TrainingError(
            f"There is no {CORPORA[name]}.jsonl(.bz2) in {folder}. Name the folder of the spam corpora."
        )
    opener = bz2.open if path.suffix == ".bz2" else open
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace") as file:
            rows = [json.loads(line) for line in file if line.strip()]
            return without_doubles(_mail(row, name) for row in rows)
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise TrainingError(f"{path} cannot be read as labelled mail ({error}).") from error


def without_doubles(mails: Iterable[Mail]) -> list[Mail]:
    """`mails` without those that differ from an earlier one only in case, spacing, punctuation or figures."""
    seen: set[bytes] = set()
    kept = []
    for mail in mails:
        letters = "".join(filter(str.isalpha, f"{mail.subject} {mail.text}".casefold()))
        mark = hashlib.blake2b(letters.encode(), digest_size=16).digest()
        if mark not in seen:
            seen.add(mark)
            kept.append(mail)
    return kept


def _mail(row: dict[str, str], source: str) -> Mail:
    text, subject = row["text"], row.get("subject") or ""
    if source == "enron":
        text, subject = undo_tokenised(text), undo_tokenised(subject)
    return Mail(text, subject, row["label"] == "spam", source, row.get("from") or "", _date(row.get("date")))


def _date(text: str | None) -> datetime | None:
    """A mail's own date, in UTC, where it can be one of these corpora's years: spam lies about it."""
    try:
        date = parsedate_to_datetime(text or "")
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return date if 1998 <= date.year <= 2006 else None
