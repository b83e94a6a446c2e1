"""Questions and answers out of people's files (CSV, JSON lines, Markdown, plain text); what cannot be used, and why.

Owns file → `Example`s. Their tokens are `preview.py`; other wordings of a question are `rephrase.py`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.data.cleaning import clean_text
from training.errors import TrainingError
from training.tuning.reading import read_text

QUESTION = ("question", "prompt", "instruction", "user", "q", "input", "ask", "frage")
ANSWER = ("answer", "response", "output", "assistant", "completion", "a", "reply", "target", "antwort")
MESSAGES = ("messages", "conversation", "conversations")
KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".md", ".markdown", ".txt")
_HEADING = re.compile(r"#{1,6}\s+(.+)")
_ASKED = re.compile(r"\**(?:q|question|user|frage)\**\s*[:.]\**\s*(.*)", re.IGNORECASE)
_ANSWERED = re.compile(r"\**(?:a|answer|assistant|antwort)\**\s*[:.]\**\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Example:
    """A chat that ends with the reply to be learned; `problem` says why it is left out, "" that it is not."""

    place: str  # "facts.csv, line 3"
    messages: tuple[dict[str, str], ...]
    problem: str = ""

    @property
    def question(self) -> str:
        return next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def answer(self) -> str:
        return self.messages[-1]["content"] if self.messages and self.messages[-1]["role"] == "assistant" else ""


@dataclass
class Examples:
    """All of some files, good and bad, in their order."""

    rows: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[Example]:
        return [row for row in self.rows if not row.problem]


def read_answers(paths: list[Path]) -> Examples:
    """Every example in the files `paths` (or the files right in a folder), repeated and empty ones marked.

    Raises:
        TrainingError: a file cannot be read at all, or there is nothing in it.
    """
    found = Examples()
    for path in files_of(paths, KINDS):
        text = read_text(path)
        found.notes += text.notes
        found.rows += [replace(row, place=f"{path.name}, {row.place}") for row in _parse(path, text.text)]
    found.rows = list(_marked(found.rows))
    if not found.rows:
        raise TrainingError(f"There are no questions and answers in {', '.join(p.name for p in paths)}. {_HOW}")
    return found


_HOW = (
    "Give a table with the columns question and answer, JSON lines with these, Markdown with a heading for each "
    "question, or blocks of lines: the question first, the answer below it."
)


def files_of(paths: list[Path], kinds: tuple[str, ...]) -> list[Path]:
    """The files that `paths` name, those right in a folder included if they are of `kinds`.

    Raises:
        TrainingError: a path is not there, or of none of these kinds, or a folder has no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not os.path.exists(path):
            raise TrainingError(f"There is no file {path}.")
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in kinds) if path.is_dir() else [path]
        if not inside:
            raise TrainingError(f"The folder {path} has no file of these kinds: {', '.join(kinds)}.")
        if wrong := [p for p in inside if p.suffix.lower() not in kinds]:
            raise TrainingError(f"{wrong[0].name} is none of {', '.join(kinds)}. Save it as one of these.")
        found += inside
    if not found:
        raise TrainingError("No data has been named.")
    return found


def _parse(path: Path, text: str) -> Iterator[Example]:
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        yield from _table(path, text, "\t" if kind == ".tsv" else "")
    elif kind in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield _from_json(f"line {number}", line)
    elif kind == ".json":
        yield from _json_list(path, text)
    else:
        yield from parse_typed(text)


def parse_typed(text: str) -> Iterator[Example]:
    """Markdown headings with text below, "Q: … A: …", or blocks of lines with the question first."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if any(_ASKED.match(line) for line in lines):
        yield from _marked_blocks(lines)
    elif any(_HEADING.match(line) for line in lines):
        yield from _blocks(lines, lambda line: m.group(1) if (m := _HEADING.match(line)) else None)
    else:
        start = 1
        block: list[str] = []
        for number, line in enumerate([*lines, ""], 1):
            if line.strip():
                start = start if block else number
                block.append(line)
            elif block:
                yield _pair(f"line {start}", block[0], "\n".join(block[1:]))
                block = []


def _marked_blocks(lines: list[str]) -> Iterator[Example]:
    """ "Q: …" and "A: …", each going on until the next mark."""
    start, into = 0, ""
    asked: list[str] = []
    answered: list[str] = []
    for number, line in enumerate([*lines, "Q:"], 1):
        if match := _ASKED.match(line):
            if asked:
                yield _pair(f"line {start}", "\n".join(asked), "\n".join(answered))
            start, asked, answered, into = number, [match.group(1)], [], "q"
        elif (match := _ANSWERED.match(line)) and into:
            answered, into = [match.group(1)], "a"
        elif into == "a":
            answered.append(line)
        elif into == "q":
            asked.append(line)


def _blocks(lines: list[str], heading: Any) -> Iterator[Example]:
    start, title = 0, None
    body: list[str] = []
    for number, line in enumerate([*lines, "# end"], 1):
        if (found := heading(line)) is not None:
            if title is not None and any(part.strip() for part in body):  # a heading of headings has no text
                yield _pair(f"line {start}", title, "\n".join(body))
            start, title, body = number, found, []
        else:
            body.append(line)


def _table(path: Path, text: str, separator: str) -> Iterator[Example]:
    csv.field_size_limit(1 << 24)
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    separator = separator or max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        names = [cell.strip().casefold() for cell in next(reader, [])]
        asked = next((names.index(name) for name in QUESTION if name in names), None)
        told = next((names.index(name) for name in ANSWER if name in names), None)
        if asked is None or told is None:
            raise TrainingError(
                f"{path.name} has the columns {', '.join(n or '(empty)' for n in names[:8])}; wanted are question and "
                "answer. Write these names into its first line."
            )
        more = names.index("input") if names[asked] == "instruction" and "input" in names else None
        for cells in reader:
            if any(cell.strip() for cell in cells):
                cells += [""] * (len(names) - len(cells))
                extra = f"\n\n{cells[more]}" if more is not None and cells[more].strip() else ""
                yield _pair(f"line {reader.line_num}", cells[asked] + extra, cells[told])
    except csv.Error as error:
        raise TrainingError(f"{path.name}, line {reader.line_num} cannot be read as a table: {error}.") from error


def _from_json(place: str, line: str) -> Example:
    try:
        return _from_object(place, json.loads(line))
    except ValueError:
        return Example(place, ({"role": "user", "content": clean_text(line[:80])},), "this line is no JSON")


def _json_list(path: Path, text: str) -> Iterator[Example]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise TrainingError(f"{path.name} is no JSON ({error}).") from error
    rows = (
        data if isinstance(data, list) else next((v for v in data.values() if isinstance(v, list)), []) if data else []
    )
    yield from (_from_object(f"entry {number}", row) for number, row in enumerate(rows, 1))


def _from_object(place: str, row: Any) -> Example:
    if not isinstance(row, dict):
        return Example(place, (), "it is no object with question and answer")
    for name in MESSAGES:
        if isinstance(row.get(name), list):
            return _from_messages(place, row[name])
    known = {str(key).casefold(): value for key, value in row.items()}
    asked = next((known[name] for name in QUESTION if known.get(name)), "")
    told = next((known[name] for name in ANSWER if known.get(name)), "")
    if not asked and not told:
        return Example(place, (), f"it has neither question nor answer, but {', '.join(map(str, row)) or 'nothing'}")
    extra = known.get("input") if known.get("instruction") else ""
    return _pair(place, f"{asked}\n\n{extra}" if extra else str(asked), str(told))


def _from_messages(place: str, messages: list[Any]) -> Example:
    roles = {"human": "user", "gpt": "assistant", "bot": "assistant"}
    chat = []
    for m in messages:
        if isinstance(m, dict):
            role = str(m.get("role") or m.get("from") or "")
            text = clean_text(str(m.get("content") or m.get("value") or ""))
            chat.append({"role": roles.get(role, role), "content": text})
    while chat and chat[-1]["role"] != "assistant":
        chat.pop()  # what nobody answers teaches nothing
    asks = [m["role"] for m in chat if m["role"] != "system"]
    problem = "" if asks and asks == ["user", "assistant"] * (len(asks) // 2) else "its turns do not alternate"
    return Example(place, tuple(chat), problem or ("an empty turn" if not all(m["content"] for m in chat) else ""))


def _pair(place: str, asked: str, told: str) -> Example:
    asked, told = clean_text(asked), clean_text(told)
    problem = "no question" if not asked else "no answer" if not told else ""
    return Example(place, ({"role": "user", "content": asked}, {"role": "assistant", "content": told}), problem)


def _marked(rows: list[Example]) -> Iterator[Example]:
    """`rows`, those marked that say again, or otherwise, what an earlier one said."""
    seen: dict[str, Example] = {}
    for row in rows:
        if not row.problem:
            mark = json.dumps([m["content"].casefold() for m in row.messages[:-1]])
            first = seen.setdefault(mark, row)
            if first is not row:
                same = first.answer.casefold() == row.answer.casefold()
                row = replace(row, problem=f"{'the same as' if same else 'answers otherwise than'} {first.place}")
        yield row
