"""Documents: reading them out of files, one at a time, whatever the files' size.

A document is {"text": …} or {"messages": [{"role", "content"}, …]}. Cleaning them is `cleaning.py`, whether one is
worth keeping `filters.py` and `duplicates.py`; tokens come later, in `shards.py`.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from training.recipe import RecipeError, Source

Document = dict[str, Any]
SEPARATOR = "<|endoftext|>"
BLOCK = 1 << 20  # bytes read at once
LONGEST_LINE = 64_000_000  # bytes; one that is longer is a mistake, and would have to lie in memory whole
PART = 4_000_000  # characters; a text without separators is read in parts of about so many
OPENERS: dict[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
COLUMNS = {"messages", "instruction", "input", "context", "output", "response", "question", "answer", "text"}
# What reading a damaged file of these kinds raises, besides an OSError without a number.
DAMAGED = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def source_files(source: Source, root: Path) -> list[Path]:
    """The files of `source` below folder `root`.

    Raises:
        RecipeError: there are none.
    """
    paths = sorted(path for path in root.glob(source.path) if path.is_file())
    if not paths:
        hint = " Fetch it first: python -m training data fetch." if source.url else ""
        raise RecipeError(f"Source {source.name}: nothing matches {source.path!r} below {root.resolve()}.{hint}")
    return paths


def read_source(source: Source, root: Path) -> Iterator[Document]:
    """The raw documents of `source` below folder `root`, at most `limit_mb` of text.

    Raises:
        RecipeError: nothing matches the source's path, a file cannot be read as what its name says, or the whole is
            not what the source's sha256 says (which is known at the end; a limit reached before that skips it).
    """
    left = source.limit_mb * 1e6 or float("inf")
    digest = hashlib.sha256() if source.sha256 else None
    for path in source_files(source, root):
        for document in read_file(path, source.encoding, digest):
            left -= len(as_text(document))
            if left < 0:
                return
            yield document
    if digest and digest.hexdigest() != source.sha256.lower():
        raise RecipeError(
            f"Source {source.name}: {source.path} is not the file that its sha256 names: it has been changed or "
            "replaced. Fetch it again, or take the new file's sha256."
        )


def kind_of(path: Path) -> str:
    """The suffix that says what is in `path`, compressed or not."""
    return Path(path.name.removesuffix(path.suffix)).suffix if path.suffix in OPENERS else path.suffix


def open_bytes(path: Path, suffix: str = "") -> BinaryIO:
    """`path` opened for reading, unpacked where its name (or `suffix`) says that it is compressed."""
    return OPENERS.get(suffix or path.suffix, open)(path, "rb")


def read_file(path: Path, encoding: str, digest: Digest | None = None) -> Iterator[Document]:
    """The raw documents in `path`; what is read of it, unpacked, goes through `digest`.

    Raises:
        RecipeError: it cannot be read as what its name says.
    """
    kind, lines = kind_of(path), _lines(path, encoding, digest)
    if kind in (".jsonl", ".ndjson"):
        for number, line in enumerate(lines, 1):
            if line.strip("\ufeff \t\r"):
                yield _from_line(line, f"{path}, line {number}")
    elif kind == ".json":
        yield from _from_list("\n".join(lines), path)
    elif kind == ".parquet":
        yield from _from_parquet(path, digest)
    elif kind == ".txt":
        yield from _split(lines)
    elif kind in (".md", ".html", ".htm"):
        yield {"text": "\n".join(lines)}
    else:
        raise RecipeError(
            f"{path} is neither .txt, .md, .html, .jsonl nor .json (nor one of these with .gz, .bz2 or .xz)."
        )


def _lines(path: Path, encoding: str, digest: Digest | None) -> Iterator[str]:
    """The lines of `path` without their ends; what is read goes through `digest`.

    Raises:
        RecipeError: it is not in this encoding, damaged, or has a line longer than `LONGEST_LINE`.
    """
    carry, done = b"", 0
    try:
        with open_bytes(path) as file:
            while block := file.read(BLOCK):
                if digest:
                    digest.update(block)
                head, newline, tail = block.rpartition(b"\n")
                if newline:
                    lines = _decode(carry + head, encoding, path, done).split("\n")
                    yield from lines
                    done, carry = done + len(lines), tail
                else:
                    carry += block
                if len(carry) > LONGEST_LINE:
                    raise RecipeError(
                        f"{path}, line {done + 1} is longer than {LONGEST_LINE // 1_000_000} MB: "
                        "break it into lines, or into documents."
                    )
    except (OSError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise RecipeError(f"{path} is damaged ({error}). Fetch it again.") from error
    if carry:
        yield from _decode(carry, encoding, path, done).split("\n")


def _decode(data: bytes, encoding: str, path: Path, done: int) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = done + data.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}, line {line} is not {encoding.upper()} (byte 0x{data[error.start]:02x}): "
            'convert the file, or give its source an encoding, such as "cp1252".'
        ) from error
    except LookupError as error:
        raise RecipeError(f"{path}: there is no encoding {encoding!r}.") from error


def _split(lines: Iterator[str]) -> Iterator[Document]:
    """Documents between separator lines; a very long one comes in parts, cut at empty lines."""
    kept: list[str] = []
    size = 0
    for line in lines:
        if line.startswith(SEPARATOR) and line.strip() == SEPARATOR:
            yield {"text": "\n".join(kept)}
            kept, size = [], 0
            continue
        kept.append(line)
        size += len(line) + 1
        if size > PART and (not line.strip() or size > 4 * PART):
            yield {"text": "\n".join(kept)}
            kept, size = [], 0
    if any(line.strip() for line in kept):
        yield {"text": "\n".join(kept)}


def _from_list(text: str, path: Path) -> Iterator[Document]:
    """The documents of a .json file: one list of rows, which has to fit into memory."""
    try:
        rows = json.loads(text.lstrip("\ufeff"))
    except ValueError as error:
        raise RecipeError(f"{path} is not valid JSON ({error}).") from error
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        yield _from_row(row, f"{path}, row {number}")


def _from_parquet(path: Path, digest: Digest | None) -> Iterator[Document]:
    """The documents of a .parquet file, a thousand rows at a time."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise RecipeError(f"{path} needs pyarrow to be read: pip install 'homespun[bigdata]'.") from error
    if digest:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    try:
        with parquet.ParquetFile(path) as file:
            columns = [name for name in file.schema_arrow.names if name in COLUMNS]
            number = 0
            for batch in file.iter_batches(1000, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield _from_row(row, f"{path}, row {number}")
    except pyarrow.ArrowException as error:
        raise RecipeError(f"{path} is damaged ({str(error).splitlines()[0]}). Fetch it again.") from error


def _from_line(line: str, where: str) -> Document:
    try:
        row = json.loads(line.lstrip("\ufeff"))
    except ValueError as error:
        raise RecipeError(f"{where} is not valid JSON ({error}).") from error
    return _from_row(row, where)


def _from_row(row: Any, where: str) -> Document:
    try:
        return from_json(row)
    except (KeyError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{where} is no document: it must have a text, messages with role and content, or instruction and output."
        ) from error


def from_json(row: dict[str, Any]) -> Document:
    """A row of a .jsonl file: a chat, an instruction, a question, or a text, under the names that data sets use.

    `messages` (role, content); `instruction`, `input` or `context`, `output` or `response`; `question`, `answer`;
    `text`.

    Raises:
        KeyError, TypeError: it is none of these.
    """
    if "messages" in row:
        messages = [{"role": m["role"], "content": m["content"]} for m in row["messages"]]
    elif "instruction" in row or "question" in row:
        asked = [row.get("instruction", row.get("question")), row.get("input", row.get("context"))]
        answer = next((row[key] for key in ("output", "response", "answer") if key in row), None)
        messages = [
            {"role": "user", "content": "\n\n".join(part for part in asked if part)},
            {"role": "assistant", "content": answer},
        ]
    else:
        if not isinstance(row["text"], str):
            raise TypeError("text is not a string")
        return {"text": row["text"]}
    if not all(isinstance(value, str) for m in messages for value in m.values()):
        raise TypeError("a role or content is not a string")
    return {"messages": messages}


def as_text(document: Document) -> str:
    """The words of `document`, for counting, comparing and learning a vocabulary."""
    return document["text"] if "text" in document else "\n".join(m["content"] for m in document["messages"])


def cut(document: Document, limit: int) -> Iterator[Document]:
    """`document` in pieces of at most about `limit` characters, cut between paragraphs; chats stay whole."""
    if "messages" in document or len(document["text"]) <= limit:
        yield document
        return
    kept: list[str] = []
    size = 0
    for paragraph in document["text"].split("\n\n"):
        if kept and size + len(paragraph) > limit:
            yield {"text": "\n\n".join(kept).strip()}
            kept, size = [], 0
        kept.append(paragraph)
        size += len(paragraph) + 2
    if text := "\n\n".join(kept).strip():
        yield {"text": text}
