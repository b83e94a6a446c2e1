"""Tokenizer: text ↔ ids. Byte-level BPE, which most open models have, is run here by tiktoken.

Special tokens are only ever made by `special`, never out of text: what a user types stays text. Reading one from files
is `tokenizer_files.py`; vocabularies of other kinds are `piece_tokenizer.py`; chat turns are `chat_template.py`;
training one is `training/data/tokenizer.py`.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property, lru_cache

import tiktoken

LARGEST_ID = 2**24  # no vocabulary comes near; a table as long as a damaged file's id would fill the memory


@lru_cache(maxsize=1)
def byte_symbols() -> dict[int, str]:
    """Byte → the printable character that stands for it in byte-level BPE files (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in set(printable))
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class Tokenizer:
    """Text ↔ token ids for one vocabulary of byte-level BPE.

    Args:
        ranks: a token's bytes → its id; merges happen in the order of the ids.
        special: a special token's name → its id.
        pattern: how text is split before merging (split_patterns.py).
        composed: bring text to Unicode's composed form (NFC) first, as some models were trained.
        bos: the id that a plain text begins with, where the model wants one.
    """

    leading_space = False  # whether a reply's first space belongs to the vocabulary and not to the reply

    def __init__(
        self,
        ranks: dict[bytes, int],
        special: dict[str, int],
        pattern: str,
        *,
        composed: bool = False,
        bos: int | None = None,
    ) -> None:
        self.ranks, self.special_tokens, self.pattern = ranks, special, pattern
        self._composed, self.bos = composed, bos
        if any(bytes([byte]) not in ranks for byte in range(256)):
            raise ValueError("its vocabulary lacks some of the 256 bytes")
        self.vocab_size = vocabulary_size([*ranks.values(), *special.values()])
        self._encoding = tiktoken.Encoding("homespun", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)

    def encode(self, text: str, *, first: bool = True) -> list[int]:
        """Ids of `text`, taken literally: a special token's name in it is ordinary text.

        `first` is for vocabularies that mark the beginning of a text; byte-level ones do not.
        """
        text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is no character
        return self._encoding.encode_ordinary(unicodedata.normalize("NFC", text) if self._composed else text)

    def encode_many(self, texts: list[str], threads: int = 2) -> list[list[int]]:
        """`encode` over many texts, on several threads."""
        if self._composed:
            texts = [unicodedata.normalize("NFC", text) for text in texts]
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
        text = b"".join(map(self.token_bytes, tokens)).decode("utf-8", "replace")
        return text.removeprefix(" ") if self.leading_space else text


def vocabulary_size(ids: list[int]) -> int:
    """One more than the largest id; ValueError for ids that cannot be, or that two tokens share."""
    if not all(isinstance(token, int) and 0 <= token < LARGEST_ID for token in ids):
        raise ValueError("its ids are not all whole numbers of a sensible size")
    if len(set(ids)) != len(ids):
        raise ValueError("two of its tokens have the same id")
    return max(ids) + 1
