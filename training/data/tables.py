"""Tables: rows of named columns out of .jsonl, .csv and .tsv files (also .bz2 or .gz), with what is wrong said at once.

For the stages whose examples are rows: labelled texts, preference pairs, sentence pairs. Documents are `documents.py`.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from training.recipe import RecipeError

Row = dict[str, Any]
OPENERS: dict[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open}
LONGEST_CELL = 1 << 24  # characters; csv's own limit is 131,072, and mails are longer


def read_table(root: Path, pattern: str, columns: Sequence[str], where: str) -> Iterator[Row]:
    """The rows of every file below `root` that matches `pattern`; each has at least `columns`.

    A column that is a number is a place, counted from 1, in a .csv or .tsv file without a line of names.

    Raises:
        RecipeError: no such file, a column is missing, a broken line, or no rows at all. `where` names the recipe's
            table for the sentence.
    """
    paths = sorted(path for path in root.glob(pattern) if path.is_file())
    if not paths:
        raise RecipeError(f"{where}: nothing matches {pattern!r} below {root}.")
    count = 0
    for path in paths:
        for line, row in _read(path, columns):
            if absent := [name for name in columns if row.get(name) is None]:
                there = ", ".join(map(str, row)) or "none"
                raise RecipeError(f"{path}, line {line}: there is no column {absent[0]!r}; it has {there}.")
            yield row
            count += 1
    if not count:
        raise RecipeError(f"{where}: {pattern!r} holds no rows. Add some.")


def _read(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(line number, row) of one file."""
    kind = Path(path.name.removesuffix(path.suffix)).suffix if path.suffix in OPENERS else path.suffix
    if kind not in (".jsonl", ".csv", ".tsv"):
        raise RecipeError(f"{path} is neither .jsonl, .csv nor .tsv (nor one of these with .bz2 or .gz).")
    opener = OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as file:
            if kind == ".jsonl":
                yield from _json_lines(path, file)
            else:
                yield from _separated(file, "," if kind == ".csv" else "\t", columns)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    except (csv.Error, EOFError) as error:
        raise RecipeError(f"{path} cannot be read as a table: {error}.") from error


def _json_lines(path: Path, file: io.TextIOWrapper) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RecipeError(f"{path}, line {number}: this is no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise RecipeError(f"{path}, line {number}: an object with columns is wanted, not {line.strip()[:40]!r}.")
        yield number, row


def _separated(file: io.TextIOWrapper, separator: str, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(LONGEST_CELL)
    # In .tsv a quotation mark is a character like any other; in .csv it may hold a separator or a line's end.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(file, delimiter=separator, quoting=quoting)
    names = None if all(name.isdigit() for name in columns) else next(reader, [])
    for cells in reader:
        if cells:
            keys = names if names is not None else [str(place) for place in range(1, len(cells) + 1)]
            yield reader.line_num, dict(zip(keys, cells, strict=False))
