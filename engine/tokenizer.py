"""Tokenizer: byte-level BPE read from a `tokenizer.json`, run by tiktoken.

Owns text ↔ ids. Special tokens are only ever made by `special`, never out of text: what a user types stays text.
Chat turns are `chat_template.py`; training a vocabulary is `training/tokenizer.py`.
"""

from __future__ import annotations

import itertools
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import tiktoken

from engine.catalog import read_json
from engine.errors import ModelFolderError

# The split patterns of GPT-2 and of Qwen2/Qwen3: facts of those formats, known to transformers and llama.cpp.
GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@lru_cache(maxsize=1)
def byte_symbols() -> dict[int, str]:
    """Byte → the printable character that stands for it in byte-level BPE files (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in set(printable))
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class Tokenizer:
    """Text ↔ token ids for one vocabulary."""

    def __init__(self, ranks: dict[bytes, int], special: dict[str, int], pattern: str) -> None:
        self.ranks, self.special_tokens, self.pattern = ranks, special, pattern
        self._encoding = tiktoken.Encoding("homespun", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        self.vocab_size = max([*ranks.values(), *special.values()]) + 1

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """The tokenizer of a model folder.

        Raises:
            ModelFolderError: no `tokenizer.json`, a damaged one, or a kind other than byte-level BPE.
        """
        data = read_json(folder / "tokenizer.json")
        try:
            return cls(*_parse(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFolderError(f"{folder / 'tokenizer.json'} is no byte-level BPE tokenizer ({error}).") from error

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, taken literally: a special token's name in it is ordinary text."""
        return self._encoding.encode_ordinary(text.encode("utf-8", "replace").decode("utf-8"))

    def encode_many(self, texts: list[str], threads: int = 2) -> list[list[int]]:
        """`encode` over many texts, on several threads."""
        return self._encoding.encode_ordinary_batch(texts, num_threads=threads)

    def special(self, name: str) -> int:
        """The id of special token `name`; KeyError if the vocabulary has none such."""
        return self.special_tokens[name]

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(self.special_tokens.values())

    @cached_property
    def _known_ids(self) -> frozenset[int]:
        return frozenset(self.ranks.values())

    def token_bytes(self, token: int) -> bytes:
        """The bytes token `token` stands for; empty for special tokens and for ids that name nothing."""
        if token in self._special_ids or token not in self._known_ids:
            return b""
        return self._encoding.decode_single_token_bytes(token)

    def decode(self, tokens: list[int]) -> str:
        """Text of `tokens`, special ones left out, bytes that are no UTF-8 replaced by U+FFFD."""
        return b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")


def _parse(data: dict[str, Any]) -> tuple[dict[bytes, int], dict[str, int], str]:
    """(ranks, special tokens, split pattern) of a `tokenizer.json`; ValueError where its merges are not in id order."""
    model = data["model"]
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
        raise ValueError("its model is not byte-level BPE")
    special = {token["content"]: token["id"] for token in data.get("added_tokens", ())}
    to_byte = {symbol: byte for byte, symbol in byte_symbols().items()}
    ranks = {
        bytes(to_byte[symbol] for symbol in token): rank
        for token, rank in model["vocab"].items()
        if token not in special
    }
    pairs = (merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"])
    merged = [model["vocab"]["".join(pair)] for pair in pairs]
    if any(later <= earlier for earlier, later in itertools.pairwise(merged)):
        raise ValueError("its merges are not in the order of its ids")
    return ranks, special, _pattern(data.get("pre_tokenizer") or {})


def _pattern(pre_tokenizer: dict[str, Any]) -> str:
    """The split pattern: a `Split` step's own, or GPT-2's where `ByteLevel` is told to split."""
    for step in pre_tokenizer.get("pretokenizers", [pre_tokenizer]):
        if step.get("type") == "Split":
            return step["pattern"]["Regex"]
        if step.get("type") == "ByteLevel" and step.get("use_regex", True):
            return GPT2_PATTERN
    raise ValueError("its pre-tokenizer has no split pattern")
