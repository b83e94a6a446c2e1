"""The `tokenizer` stage: learn a byte-level BPE (by rustbpe) and write it as a `tokenizer.json`.

The split pattern is Qwen2's, which transformers and llama.cpp know. Using a vocabulary is `engine/tokenizer.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.chat_template import SPECIAL_TOKENS
from engine.tokenizer import QWEN2_PATTERN, byte_symbols
from training.data.documents import as_text
from training.data.prepare import documents_path
from training.recipe import Recipe


def train_tokenizer(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Learn the vocabulary from the run's training documents; returns and writes its `tokenizer.json`."""
    import rustbpe  # the one library only this stage needs

    learner = rustbpe.Tokenizer()
    size = recipe.tokenizer.vocab_size - len(SPECIAL_TOKENS)
    learner.train_from_iterator(_texts(recipe, run), size, pattern=QWEN2_PATTERN)
    ranks = {bytes(token): rank for token, rank in learner.get_mergeable_ranks()}
    data = tokenizer_json(ranks)
    (run / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return data


def _texts(recipe: Recipe, run: Path) -> Iterator[str]:
    """Training texts, the same share of the budget from every source that is read, weighted by its epochs."""
    weights = {s.name: max(s.epochs, s.sft_epochs) for s in recipe.data.sources}
    sizes = {name: documents_path(run, "train", name).stat().st_size for name in weights}
    total = sum(min(weights[name], 4) * sizes[name] for name in weights) or 1
    for name, weight in weights.items():
        budget = recipe.tokenizer.characters_mb * 1e6 * min(weight, 4) * sizes[name] / total
        with documents_path(run, "train", name).open(encoding="utf-8") as file:
            for line in file:
                text = as_text(json.loads(line))
                budget -= len(text)
                if budget < 0:
                    break
                yield text


def recover_merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair each token was merged from, in order: BPE of its bytes with only the earlier merges leaves two parts."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            options = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(pairwise(parts))]
            best, i = min(options)
            if best >= rank:
                raise ValueError(f"token {token!r} cannot be made from earlier ones")
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        merges.append((parts[0], parts[1]))
    return merges


def tokenizer_json(ranks: dict[bytes, int]) -> dict[str, Any]:
    """A `tokenizer.json` in Hugging Face's format for byte-level BPE `ranks` plus the house's special tokens."""
    symbols = byte_symbols()

    def name(token: bytes) -> str:
        return "".join(symbols[byte] for byte in token)

    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    split = {"type": "Split", "pattern": {"Regex": QWEN2_PATTERN}, "behavior": "Isolated", "invert": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": len(ranks) + i, "content": t, **flags} for i, t in enumerate(SPECIAL_TOKENS)],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {name(token): rank for token, rank in sorted(ranks.items(), key=lambda item: item[1])},
            "merges": [[name(a), name(b)] for a, b in recover_merges(ranks)],
        },
    }
