"""The `tokenizer` stage: learn a byte-level BPE (by rustbpe) and write it as a `tokenizer.json`.

How text is split before merging is one of the patterns that transformers and llama.cpp know: Qwen2's, GPT-2's or
Llama 3's. The special tokens are the house's: `<|endoftext|>` begins and ends documents and pads rows, as GPT-2's does,
and `<|im_start|>` and `<|im_end|>` stand around a turn and its role. Using a vocabulary is `engine/text/tokenizer.py`;
how good it is, `vocabulary_report.py`; how BPE works, `teaching.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.text.chat_template import SPECIAL_TOKENS
from engine.text.split_patterns import GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN
from engine.text.tokenizer import byte_symbols
from training.data.documents import as_text
from training.data.prepare import documents_path
from training.recipe import Recipe, RecipeError

PATTERNS = {"qwen2": QWEN2_PATTERN, "gpt2": GPT2_PATTERN, "llama3": LLAMA3_PATTERN}


def train_tokenizer(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Learn the vocabulary from the run's training documents; returns and writes its `tokenizer.json`.

    Raises:
        RecipeError: the documents do not have enough different pairs for a vocabulary of that size.
    """
    import rustbpe  # the one library only this stage needs

    learner = rustbpe.Tokenizer()
    wanted, pattern = recipe.tokenizer.vocab_size, PATTERNS[recipe.tokenizer.pattern]
    learner.train_from_iterator(texts(recipe, run), wanted - len(SPECIAL_TOKENS), pattern=pattern)
    ranks = {bytes(token): rank for token, rank in learner.get_mergeable_ranks()}
    if (found := len(ranks) + len(SPECIAL_TOKENS)) < wanted:
        raise RecipeError(
            f"The training texts support a vocabulary of {found} tokens only: set vocab_size, which is {wanted}, "
            f"to {found} or less, or add text."
        )
    data = tokenizer_json(ranks, pattern)
    path = run / "tokenizer.json"
    path.with_suffix(".tmp").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    (run / "vocabulary.json").write_text(json.dumps(asdict(recipe.tokenizer)) + "\n", encoding="utf-8")
    path.with_suffix(".tmp").replace(path)
    return data


def is_stale(recipe: Recipe, run: Path) -> bool:
    """Whether the run's vocabulary has to be learned (again): there is none, or one from other texts or wishes.

    Raises:
        RecipeError: there are no documents to learn from.
    """
    made = [documents_path(run, "train", source.name) for source in recipe.data.sources]
    if not all(path.exists() for path in made):
        raise RecipeError(f"There are no documents in {run} to learn a vocabulary from. Run the prepare stage first.")
    path, wishes = run / "tokenizer.json", run / "vocabulary.json"
    if wishes.exists() and json.loads(wishes.read_text(encoding="utf-8")) != asdict(recipe.tokenizer):
        return True
    return not path.exists() or any(p.stat().st_mtime_ns > path.stat().st_mtime_ns for p in made)


def texts(recipe: Recipe, run: Path) -> Iterator[str]:
    """Training texts, the same share of the budget from every source that is read, weighted by its epochs."""
    by_weight = recipe.data.tokens_m > 0
    weights = {s.name: max(s.weight if by_weight else s.epochs, s.sft_epochs) for s in recipe.data.sources}
    sizes = {name: documents_path(run, "train", name).stat().st_size for name in weights}
    # With epochs a source counts by what is read of it; a weight is a share of the whole already.
    shares = {name: w if by_weight else min(w, 4) * sizes[name] for name, w in weights.items()}
    total = sum(shares.values()) or 1
    for name, share in shares.items():
        budget = recipe.tokenizer.characters_mb * 1e6 * share / total
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


def tokenizer_json(ranks: dict[bytes, int], pattern: str = QWEN2_PATTERN) -> dict[str, Any]:
    """A `tokenizer.json` in Hugging Face's format for byte-level BPE `ranks` plus the house's special tokens."""
    symbols = byte_symbols()

    def name(token: bytes) -> str:
        return "".join(symbols[byte] for byte in token)

    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
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
