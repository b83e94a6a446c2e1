"""Chunks: a few megabytes of raw documents, which one process cleans, judges and writes to disk by itself.

A chunk is two files in the work folder: the lines of the documents that passed, and an index of them. The index is
written last, so a chunk is whole or not there. What the chunks have in common with each other, duplicates, is
`prepare.py`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from training.data.cleaning import clean
from training.data.documents import Document, as_text, cut, read_source
from training.data.duplicates import fingerprint, signatures
from training.data.filters import reason_to_drop
from training.recipe import DataRecipe, Source

CHUNK = 4_000_000  # characters of raw text
MANY = 20_000  # documents in a chunk at most, however short they are
EXAMPLES = 3  # of documents dropped for the same reason that the report shows
EXCERPT = 240  # characters of each


@dataclass(frozen=True)
class Chunk:
    source: str
    number: int
    documents: list[Document]


def chunk_path(work: Path, source: str, number: int) -> Path:
    return work / f"{source}-{number:06d}.jsonl"


def chunks_of(source: Source, root: Path) -> Iterator[Chunk]:
    """The documents of `source`, a few megabytes at a time; the same ones in the same chunk whenever it is read."""
    documents: list[Document] = []
    number = size = 0
    for document in read_source(source, root):
        documents.append(document)
        size += len(as_text(document))
        if size >= CHUNK or len(documents) >= MANY:
            yield Chunk(source.name, number, documents)
            documents, number, size = [], number + 1, 0
    if documents:
        yield Chunk(source.name, number, documents)


def process(chunk: Chunk, recipe: DataRecipe, work: Path) -> None:
    """Clean and judge the documents of `chunk`, and write its two files."""
    kept: list[Document] = []
    counts: Counter[str] = Counter(read=len(chunk.documents))
    examples: dict[str, list[str]] = {}
    for raw in chunk.documents:
        document = clean(raw, recipe)
        reason = "broken" if document is None else reason_to_drop(document, recipe)
        if document is not None and reason is None:
            kept.append(document)
            continue
        counts[str(reason)] += 1
        if len(shown := examples.setdefault(str(reason), [])) < EXAMPLES:
            shown.append(as_text(document or raw)[:EXCERPT])
    path, lines, ends = chunk_path(work, chunk.source, chunk.number), [], [0]
    for document in kept:
        pieces = [json.dumps(piece, ensure_ascii=False) + "\n" for piece in cut(document, recipe.max_characters)]
        lines.append("".join(pieces).encode("utf-8", "replace"))
        ends.append(ends[-1] + len(lines[-1]))
    marks = np.frombuffer(b"".join(map(fingerprint, kept)), np.uint64).reshape(-1, 2)
    texts = [as_text(document) for document in kept]
    arrays = {
        "fingerprints": marks,  # uint64 [n, 2]
        # uint32 [n, PERMUTATIONS], all zero where there are too few words to compare
        "signatures": signatures(texts) if recipe.near_duplicates else np.zeros((len(kept), 0), np.uint32),
        "ends": np.array(ends, np.int64),  # [n + 1]: where each document's lines begin and end
        "characters": np.array([len(text) for text in texts], np.int64),
    }
    _write(path, lines, arrays, {"counts": counts, "examples": examples})


def _write(path: Path, lines: list[bytes], arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    path.write_bytes(b"".join(lines))
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, notes=np.frombuffer(json.dumps(notes).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    temporary.replace(path.with_suffix(".npz"))


def is_done(work: Path, source: str, number: int) -> bool:
    return chunk_path(work, source, number).with_suffix(".npz").exists()


def read_array(path: Path, name: str) -> np.ndarray:
    """One array of the index beside the chunk's lines at `path`; `process` says which there are."""
    with np.load(path.with_suffix(".npz")) as data:
        return data[name]


def read_notes(path: Path) -> dict[str, Any]:
    """`counts` (documents read, and dropped by reason) and `examples` (reason → a few beginnings) of a chunk."""
    return json.loads(read_array(path, "notes").tobytes())


def worker(recipe: DataRecipe, work: Path) -> partial[None]:
    """`process` for one recipe and folder, as it is sent to other processes."""
    return partial(process, recipe=recipe, work=work)
