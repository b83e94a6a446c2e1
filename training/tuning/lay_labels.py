"""A classifier's examples: a table's text and label columns, found by their names or by what is in them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.run.classifier import encode
from training.data.cleaning import clean_text
from training.data.vocabulary import Vocabulary
from training.errors import TrainingError
from training.recipe_wish import Wish
from training.tuning.answers import files_of
from training.tuning.layout import Laid, Row, shown, too_few
from training.tuning.reading import read_text
from training.tuning.recipes import Amounts

TEXT = ("text", "message", "content", "body", "sentence", "document", "mail", "review", "note", "title")
LABEL = ("label", "class", "category", "kind", "topic", "tag", "sentiment", "target")
LEAST = 4  # examples of a label: two to learn from, and some that are held out
MOST_LABELS = 200


def lay_out(wish: Wish, run: Path, vocabulary: Vocabulary | None) -> Laid:
    """`run/data/labels.jsonl` with the columns text and label. See `layout.lay_out`.

    Raises:
        TrainingError: the columns are not there, fewer than two labels, or a label with too few examples.
    """
    assert vocabulary is not None
    laid = Laid(Amounts(0, 0))
    kept: dict[str, str] = {}
    for path in files_of([Path(name) for name in wish.files], (".csv", ".tsv", ".jsonl", ".ndjson")):
        read = read_text(path)
        laid.notes += read.notes
        for place, row in _rows(path, read.text):
            text_name, label_name = _columns(path, row, wish)
            text, label = clean_text(str(row.get(text_name) or "")), str(row.get(label_name) or "").strip()
            problem = "no text" if not text else "no label" if not label else ""
            if not problem and text in kept:
                problem = "the same as an earlier text" if kept[text] == label else "the same text has another label"
            if not problem:
                kept[text] = label
            ids = encode(vocabulary.tokenizer, text) if text else []
            note = f"the first {wish.context} of {len(ids)} tokens are read" if len(ids) > wish.context else ""
            laid.rows.append(
                Row(f"{path.name}, {place}", [*shown(vocabulary, ids, [0] * len(ids)), (f" → {label}", 1)],
                    len(ids), problem, note)
            )  # fmt: skip
    _check(kept)
    too_few(wish, laid, "labelled texts")
    lines = "".join(json.dumps({"text": t, "label": n}, ensure_ascii=False) + "\n" for t, n in kept.items())
    (run / "data" / "labels.jsonl").write_text(lines, encoding="utf-8")
    laid.notes.append(
        "Labels: " + ", ".join(f"{label} {n}" for label, n in Counter(kept.values()).most_common(12)) + "."
    )
    laid.amounts = Amounts(len(kept), len(kept))
    return laid


def _check(kept: dict[str, str]) -> None:
    counts = Counter(kept.values())
    if len(counts) < 2:
        there = f"only the label {next(iter(counts))!r}" if counts else "no label at all"
        raise TrainingError(f"The table has {there}; telling apart needs at least two.")
    if len(counts) > MOST_LABELS:
        raise TrainingError(
            f"The label column has {len(counts)} different values, which are no labels. Choose another."
        )
    rare = {label: n for label, n in counts.items() if n < LEAST}
    if rare:
        label, n = min(rare.items(), key=lambda pair: pair[1])
        raise TrainingError(
            f"The label {label!r} has {n} example{'s' if n > 1 else ''}, and at least {LEAST} are needed: to learn "
            "from, and to check it. Add some, or leave it out."
        )


def _rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.suffix.lower() in (".csv", ".tsv"):
        csv.field_size_limit(1 << 24)
        first = text.lstrip("\ufeff").split("\n", 1)[0]
        separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=first.count)
        reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator)
        try:
            yield from ((f"line {reader.line_num}", row) for row in reader)
        except csv.Error as error:
            raise TrainingError(f"{path.name}, line {reader.line_num} cannot be read as a table: {error}.") from error
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise TrainingError(f"{path.name}, line {number} is no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise TrainingError(f"{path.name}, line {number} is no object with columns.")
            yield f"line {number}", row


def _columns(path: Path, row: dict[str, Any], wish: Wish) -> tuple[str, str]:
    """The names of the text column and the label column."""
    names = [str(name) for name in row if name is not None]
    lower = {name.strip().casefold(): name for name in names}
    found = []
    for wanted, known, what in ((wish.text_column, TEXT, "text"), (wish.label_column, LABEL, "label")):
        name = lower.get(wanted.casefold()) if wanted else next((lower[k] for k in known if k in lower), None)
        if name is None:
            missing = f"no column {wanted!r}" if wanted else f"no column that is called like a {what}"
            raise TrainingError(
                f"{path.name} has {missing}; it has {', '.join(names[:12]) or 'none'}. Name the {what} column."
            )
        found.append(name)
    return found[0], found[1]
