"""Token shards: a source's documents as ids and loss mask, memory-mapped, with each one's offset.

Every document ends with `<|endoftext|>`. Ids take two bytes, or four where the vocabulary is larger than 65,536.
Documents are encoded in several processes, a few megabytes at a time, and go to disk in their order: nothing is held
whole. A source that is done, for the same documents and vocabulary, is not done again. Which documents are read when is
`batches.py`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from training.data.documents import Document
from training.data.parallel import cores, ordered_map
from training.data.prepare import SPLITS, documents_path
from training.data.text_encoder import TextEncoder
from training.data.vocabulary import Vocabulary, open_vocabulary, vocabulary_file
from training.recipe import Recipe

WORTH_PROCESSES = 32_000_000  # bytes of documents; encoding is quick, and a process takes a second to start
PIECE = 4_000_000  # bytes of documents that one process encodes at once
SUFFIXES = (".tokens", ".mask", ".offsets.npy")


@dataclass(frozen=True)
class Shard:
    """One source's tokens of one split."""

    name: str
    tokens: np.ndarray  # uint16 or uint32 [total]
    mask: np.ndarray  # uint8 [total]; 1 where the assistant speaks
    offsets: np.ndarray  # int64 [documents + 1]

    @property
    def count(self) -> int:
        return len(self.offsets) - 1


def write_shards(recipe: Recipe, run: Path, processes: int = 0) -> dict[str, dict[str, int]]:
    """Encode the run's documents with its vocabulary into `run/shards/`; returns and writes the report.

    The report has a row for each split and source: tokens, documents, and bytes of the documents' file.
    """
    report = {}
    size = sum(documents_path(run, split, s.name).stat().st_size for split in SPLITS for s in recipe.data.sources)
    processes = 1 if size < WORTH_PROCESSES else processes or cores()
    for split in SPLITS:
        (run / "shards" / split).mkdir(parents=True, exist_ok=True)
        for source in recipe.data.sources:
            if not _is_done(run, split, source.name):
                _write_shard(run, split, source.name, processes)
            offsets = np.load(_base(run, split, source.name).with_suffix(".offsets.npy"), mmap_mode="r")
            report[f"{split}/{source.name}"] = {
                "tokens": int(offsets[-1]),
                "documents": len(offsets) - 1,
                "file_bytes": documents_path(run, split, source.name).stat().st_size,
            }
    (run / "tokens_report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _base(run: Path, split: str, name: str) -> Path:
    return run / "shards" / split / f"{name}.shard"


def _is_done(run: Path, split: str, name: str) -> bool:
    """Whether the shard is there and not older than what it is made from."""
    last = _base(run, split, name).with_suffix(SUFFIXES[-1])
    made_from = (documents_path(run, split, name), vocabulary_file(run))
    return last.exists() and all(path.stat().st_mtime_ns <= last.stat().st_mtime_ns for path in made_from)


def _write_shard(run: Path, split: str, name: str, processes: int) -> None:
    base, lengths = _base(run, split, name), [np.zeros(1, np.int64)]
    finals = [base.with_suffix(suffix) for suffix in SUFFIXES]
    pieces = _pieces(documents_path(run, split, name))
    for path in finals:
        path.unlink(missing_ok=True)  # never written over: an older one may be open, or another run's too
    with finals[0].open("wb") as tokens, finals[1].open("wb") as mask:
        for ids, spoken, sizes in ordered_map(partial(encode_lines, run=run), pieces, processes):
            tokens.write(ids.tobytes())
            mask.write(spoken.tobytes())
            lengths.append(sizes)
    temporary = base.with_suffix(".tmp.npy")
    np.save(temporary, np.concatenate(lengths).cumsum())
    temporary.replace(finals[2])  # last: with it the shard is whole


def _pieces(path: Path) -> Iterator[bytes]:
    """The lines of `path`, some megabytes of whole ones at a time."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece + file.readline()


def encode_lines(lines: bytes, run: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids, mask, lengths) of documents, one a line: uint16 or uint32 [tokens], uint8 [tokens], int64 [documents]."""
    vocabulary, texts = _vocabulary(run, vocabulary_file(run).stat().st_mtime_ns)
    ids, masks, sizes = array("H" if vocabulary.tokenizer.vocab_size <= 65_536 else "I"), bytearray(), []
    for line in lines.splitlines():
        tokens, mask = encode(json.loads(line), vocabulary, texts)
        ids.extend(tokens)
        masks += mask
        sizes.append(len(tokens))
    return np.array(ids), np.frombuffer(masks, np.uint8), np.array(sizes, np.int64)


@lru_cache(maxsize=1)
def _vocabulary(run: Path, made: int) -> tuple[Vocabulary, TextEncoder]:
    """The run's vocabulary, opened once a process; `made` is there so that a newer one is opened again."""
    vocabulary = open_vocabulary(run)
    return vocabulary, TextEncoder(vocabulary.tokenizer)


def encode(document: Document, vocabulary: Vocabulary, texts: TextEncoder) -> tuple[list[int], bytes]:
    """(ids, mask) of one document, its end included; the mask is 1 on what the assistant says."""
    if "text" in document:
        tokens = texts.encode(document["text"])
        tokens.append(vocabulary.end)
        return tokens, bytes(len(tokens))
    tokens, mask = vocabulary.template.encode_with_mask(document["messages"])
    return [*tokens, vocabulary.end], bytes([*mask, 0])


def open_shard(run: Path, split: str, name: str) -> Shard:
    """The shard of source `name`, mapped, not read."""
    base = _base(run, split, name)
    offsets = np.load(base.with_suffix(".offsets.npy"))

    def mapped(suffix: str, *dtypes: type) -> np.ndarray:
        if not offsets[-1]:
            return np.zeros(0, dtypes[0])  # mmap refuses empty files, and a small source may have nothing held out
        path = base.with_suffix(suffix)
        width = path.stat().st_size // int(offsets[-1])
        return np.memmap(path, next(d for d in dtypes if np.dtype(d).itemsize == width), "r")

    return Shard(name, mapped(".tokens", np.uint16, np.uint32), mapped(".mask", np.uint8), offsets)
