"""Token shards: a source's documents as ids (uint16) and loss mask (uint8), memory-mapped, with each one's offset.

Every document ends with `<|endoftext|>`. Which documents are read when is `batches.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from engine.chat_template import END_OF_TEXT, ChatTemplate
from engine.tokenizer import Tokenizer
from training.data.documents import Document
from training.data.prepare import SPLITS, documents_path
from training.recipe import Recipe


@dataclass(frozen=True)
class Shard:
    """One source's tokens of one split."""

    name: str
    tokens: np.ndarray  # uint16 [total]
    mask: np.ndarray  # uint8 [total]; 1 where the assistant speaks
    offsets: np.ndarray  # int64 [documents + 1]

    @property
    def count(self) -> int:
        return len(self.offsets) - 1


def write_shards(recipe: Recipe, run: Path, tokenizer: Tokenizer) -> dict[str, dict[str, int]]:
    """Encode the run's documents into `run/shards/`; returns tokens and bytes a token, a row a source."""
    template = ChatTemplate(tokenizer)
    report = {}
    for split in SPLITS:
        (run / "shards" / split).mkdir(parents=True, exist_ok=True)
        for source in recipe.data.sources:
            with documents_path(run, split, source.name).open(encoding="utf-8") as file:
                encoded = [_encode(json.loads(line), tokenizer, template) for line in file]
            base = run / "shards" / split / source.name
            lengths = np.array([0, *(len(tokens) for tokens, _ in encoded)], dtype=np.int64)
            tokens = np.fromiter(chain.from_iterable(t for t, _ in encoded), dtype=np.uint16)
            tokens.tofile(base.with_suffix(".tokens"))
            np.fromiter(chain.from_iterable(m for _, m in encoded), dtype=np.uint8).tofile(base.with_suffix(".mask"))
            np.save(base.with_suffix(".offsets.npy"), lengths.cumsum())
            size = documents_path(run, split, source.name).stat().st_size
            report[f"{split}/{source.name}"] = {
                "tokens": len(tokens),
                "documents": len(encoded),
                "file_bytes": size,
            }
    (run / "tokens_report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _encode(document: Document, tokenizer: Tokenizer, template: ChatTemplate) -> tuple[list[int], list[int]]:
    end = tokenizer.special(END_OF_TEXT)
    if "text" in document:
        tokens = tokenizer.encode(document["text"])
        return [*tokens, end], [0] * (len(tokens) + 1)
    tokens, mask = template.encode_with_mask(document["messages"])
    return [*tokens, end], [*mask, 0]


def open_shard(run: Path, split: str, name: str) -> Shard:
    """The shard of source `name`, mapped, not read."""
    base = run / "shards" / split / name
    offsets = np.load(base.with_suffix(".offsets.npy"))

    def mapped(suffix: str, dtype: type) -> np.ndarray:
        # mmap refuses empty files, and a small source may have nothing held out
        return np.memmap(base.with_suffix(suffix), dtype, "r") if offsets[-1] else np.zeros(0, dtype)

    return Shard(name, mapped(".tokens", np.uint16), mapped(".mask", np.uint8), offsets)
