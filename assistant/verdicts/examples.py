"""Examples of labels out of a .csv, .tsv, .jsonl or .json file: which column is which, and what is wrong with it.

Bounded: at most MOST_ROWS rows of at most LONGEST characters are taken.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.text import printable

MOST_ROWS, LONGEST, LARGEST = 50_000, 20_000, 100_000_000  # rows, characters of a text, bytes of the file
MOST_LABELS = 50
TEXT_COLUMNS = ("text", "message", "body", "sentence", "content", "mail", "review", "question")
LABEL_COLUMNS = ("label", "category", "class", "topic", "sentiment", "tag", "intent", "answer")


@dataclass(frozen=True)
class Example:
    text: str
    label: str


def read_examples(path: Path) -> list[Example]:
    """The examples in `path`, doubles left out.

    Raises:
        UsageError: unreadable, no text and label columns, fewer than two labels, or so many that they are no labels.
    """
    found: dict[str, str] = {}
    for row in _rows(path):
        columns = list(row)
        text, label = _column(columns, TEXT_COLUMNS), _column(columns, LABEL_COLUMNS)
        if text is None or label is None:
            if len(columns) != 2:
                raise UsageError(f"{path} needs columns called text and label; it has {', '.join(columns) or 'none'}.")
            text, label = (
                (text or next(c for c in columns if c != label)),
                label or next(c for c in columns if c != text),
            )
            if text == label:
                text, label = columns
        words, name = printable(_told(row[text])).strip()[:LONGEST], clean_label(_told(row[label]))
        if words and name:
            found.setdefault(words, name)
        if len(found) >= MOST_ROWS:
            break
    examples = [Example(words, name) for words, name in found.items()]
    check_labels(labels_of(examples), str(path))
    return examples


def _told(value: Any) -> str:
    """A cell's text; 0 and false are labels, too."""
    return "" if value is None else str(value)


def clean_label(text: str) -> str:
    """A label as it is shown and scored: one line, 60 characters at most."""
    return " ".join(printable(text).split())[:60]


def labels_of(examples: list[Example]) -> list[str]:
    """The labels that occur, the commonest first."""
    return [label for label, _ in Counter(example.label for example in examples).most_common()]


def check_labels(labels: list[str], where: str) -> None:
    """Refuse what are no labels to tell apart.

    Raises:
        UsageError: fewer than two, or more than MOST_LABELS.
    """
    if len(labels) < 2:
        only = f"only the label {labels[0]!r}" if labels else "no labels"
        raise UsageError(f"{where} has {only}; telling apart needs at least two.")
    if len(labels) > MOST_LABELS:
        raise UsageError(f"{where} has {len(labels)} different labels, more than {MOST_LABELS}: are they labels?")


def read_labels(text: str) -> list[str]:
    """Labels that were typed, with commas between them.

    Raises:
        UsageError: as `check_labels`.
    """
    labels = list(dict.fromkeys(label for label in map(clean_label, text.split(",")) if label))
    check_labels(labels, "What you typed")
    return labels


def _column(columns: list[str], names: tuple[str, ...]) -> str | None:
    lowered = {column.strip().lower(): column for column in columns}
    return next((lowered[name] for name in names if name in lowered), None)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST // 1_000_000} MB; a table of examples is smaller.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        yield from _separated(text, _separator(text) if ending == ".csv" else "\t", path)
    elif ending in (".jsonl", ".json"):
        yield from _json(text, path)
    else:
        raise UsageError(f"{path} is neither .csv, .tsv, .jsonl nor .json.")


def _separator(text: str) -> str:
    """What stands between the columns: what the head has most of. Spreadsheets write semicolons in half of Europe."""
    head = text.lstrip("\n").partition("\n")[0]
    return max(",;\t", key=head.count)


def _separated(text: str, separator: str, path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(1 << 24)
    try:
        for row in csv.DictReader(io.StringIO(text), delimiter=separator):
            yield {str(key): value for key, value in row.items() if key is not None}
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as a table: {error}.") from None


def _json(text: str, path: Path) -> Iterator[dict[str, Any]]:
    if text.lstrip().startswith("["):
        numbered = [(1, text)]
    else:
        numbered = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in numbered:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"{path}, line {number}: this is no JSON.") from None
        for row in data if isinstance(data, list) else [data]:
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number}: an object with text and label is wanted.")
            yield row
