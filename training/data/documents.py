"""Documents: reading sources, cleaning them, and dropping what is broken, empty or seen before.

A document is {"text": …} or {"messages": [{"role", "content"}, …]}. Tokens come later, in `shards.py`.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.recipe import RecipeError, Source

Document = dict[str, Any]
SEPARATOR = "<|endoftext|>"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff\ufffe\uffff]")
_BLANK = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r"\n{3,}")
# A speaker's name that a generator never filled in ("Hi, [User 1's name]!"). A letter's "[your name]" is for the reader
# to fill in and stays.
_PLACEHOLDER = re.compile(r",?\s*\[(?:user|bot|persona|assistant|speaker)\s?\d*(?:'s)?(?: name)?\]", re.IGNORECASE)


def read_source(source: Source, root: Path) -> Iterator[Document]:
    """The raw documents of `source` below folder `root`, at most `limit_mb` of text.

    Raises:
        RecipeError: nothing matches the source's path, or a file is of an unknown kind.
    """
    paths = sorted(root.glob(source.path))
    if not paths:
        raise RecipeError(f"Source {source.name}: nothing matches {source.path!r} below {root}.")
    left = source.limit_mb * 1e6 or float("inf")
    for path in paths:
        for document in _read_file(path):
            left -= len(as_text(document))
            if left < 0:
                return
            yield document


def _read_file(path: Path) -> Iterator[Document]:
    opener = bz2.open if path.suffix == ".bz2" else open
    name = path.name.removesuffix(".bz2")
    with opener(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8", errors="replace") as file:
        if name.endswith(".jsonl"):
            yield from (from_json(json.loads(line)) for line in file if line.strip())
        elif name.endswith(".txt"):
            yield from _split(file)
        else:
            raise RecipeError(f"{path} is neither .txt nor .jsonl (nor one of these with .bz2).")


def _split(file: io.TextIOWrapper) -> Iterator[Document]:
    lines: list[str] = []
    for line in file:
        if line.strip() == SEPARATOR:
            yield {"text": "".join(lines)}
            lines = []
        else:
            lines.append(line)
    yield {"text": "".join(lines)}


def from_json(row: dict[str, Any]) -> Document:
    """A row of a .jsonl file: `messages`, `instruction`/`input`/`output`, or `text`."""
    if "messages" in row:
        return {"messages": [{"role": m["role"], "content": m["content"]} for m in row["messages"]]}
    if "instruction" in row:
        asked = "\n\n".join(part for part in (row["instruction"], row.get("input")) if part)
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]}
    return {"text": row["text"]}


def as_text(document: Document) -> str:
    """The words of `document`, for counting, comparing and learning a vocabulary."""
    return document["text"] if "text" in document else "\n".join(m["content"] for m in document["messages"])


def clean_text(text: str) -> str:
    """NFC, no control or invisible characters, single spaces, at most one empty line in a row."""
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _BLANK.sub(" ", _CONTROL.sub("", text))
    return _LINES.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()


def clean(document: Document) -> Document | None:
    """`document` cleaned; None for a chat with an empty turn or turns that do not alternate."""
    if "text" in document:
        return {"text": clean_text(document["text"])}
    messages = [
        {"role": m["role"], "content": _PLACEHOLDER.sub("", clean_text(m["content"]))} for m in document["messages"]
    ]
    if messages and messages[-1]["role"] == "user":
        messages.pop()  # nobody answers it
    turns = [m["role"] for m in messages if m["role"] != "system"]
    alternate = turns == ["user", "assistant"] * (len(turns) // 2)
    whole = all(m["content"] for m in messages)
    return {"messages": messages} if turns and alternate and whole else None


def fingerprint(document: Document) -> bytes:
    """Equal for documents that differ only in case, spacing and punctuation."""
    letters = "".join(c for c in as_text(document).casefold() if c.isalnum())
    return hashlib.blake2b(letters.encode(), digest_size=16).digest()


def cut(document: Document, limit: int) -> Iterator[Document]:
    """`document` in pieces of at most about `limit` characters, cut between paragraphs; chats stay whole."""
    if "messages" in document or len(document["text"]) <= limit:
        yield document
        return
    piece = ""
    for paragraph in document["text"].split("\n\n"):
        if piece and len(piece) + len(paragraph) > limit:
            yield {"text": piece.strip()}
            piece = ""
        piece += paragraph + "\n\n"
    if piece.strip():
        yield {"text": piece.strip()}
