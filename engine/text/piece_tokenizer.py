"""PieceTokenizer: vocabularies other than byte-level BPE, run by the `tokenizers` library, whose format they come in.

SentencePiece-style BPE (Llama 2, Mistral, Gemma), Unigram, and whatever else a `tokenizer.json` describes; GGUF's
vocabularies with scores are turned into the same description. The interface is `Tokenizer`'s.
"""

from __future__ import annotations

import json
import re
from typing import Any

import tokenizers

from engine.text.tokenizer import Tokenizer, byte_symbols, vocabulary_size

SPACE = "\u2581"  # ▁, which stands for a space inside pieces
UNKNOWN, CONTROL, USER_DEFINED, BYTE = 2, 3, 4, 6  # GGUF's kinds of tokens that are no ordinary text


class PieceTokenizer(Tokenizer):
    """A vocabulary described by `data`, the content of a `tokenizer.json`.

    Raises:
        ValueError: the library cannot make sense of it.
    """

    def __init__(self, data: dict[str, Any], bos: int | None = None, text: str | None = None) -> None:
        """`text` is `data` as it stands in its file, where it does: writing a large one out again takes a second."""
        added = data.get("added_tokens") or []
        self.special_tokens = {token["content"]: token["id"] for token in added if token.get("special")}
        self.bos, self.ranks, self.pattern = bos, {}, ""
        unknown = (data.get("model") or {}).get("unk_token")
        self._control = frozenset(
            token for name, token in self.special_tokens.items() if name not in (unknown, "<unk>")
        )
        self._names = re.compile("(" + "|".join(map(re.escape, self.special_tokens or ["\ufdd0"])) + ")")
        self._first = self._later = _library(text or json.dumps(data))
        if (later := _without_prefix(data)) is not None:
            self._later = _library(json.dumps(later))
        decoder = json.dumps(data.get("decoder"))
        self._symbols = {symbol: byte for byte, symbol in byte_symbols().items()} if "ByteLevel" in decoder else None
        self.leading_space = '"Strip"' in decoder or '"Metaspace"' in decoder
        self.vocab_size = vocabulary_size(list(self._first.get_vocab(with_added_tokens=True).values()))

    def encode(self, text: str, *, first: bool = True) -> list[int]:
        """Ids of `text`, taken literally; `first` says that nothing stands before it."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        tokens = self._plain(text, first)
        if self._control.isdisjoint(tokens):
            return tokens
        # A Unigram model knows its control tokens' names as pieces of text: take each name in two.
        halves = [half for part in self._names.split(text) for half in self._halves(part)]
        return [token for at, half in enumerate(halves) if half for token in self._plain(half, first and at == 0)]

    def _plain(self, text: str, first: bool) -> list[int]:
        return (self._first if first else self._later).encode(text, add_special_tokens=False).ids

    def _halves(self, part: str) -> tuple[str, ...]:
        return (part[0], part[1:]) if part in self.special_tokens else (part,)

    def encode_many(self, texts: list[str], threads: int = 2) -> list[list[int]]:
        """`encode` over many texts; the library chooses the threads."""
        return [encoding.ids for encoding in self._first.encode_batch(texts, add_special_tokens=False)]

    def token_bytes(self, token: int) -> bytes:
        """The bytes token `token` stands for; empty for special tokens and for ids that name nothing."""
        piece = self._first.id_to_token(token) if 0 <= token < self.vocab_size else None
        if piece is None or token in self._special_ids:
            return b""
        if self._symbols is not None and all(symbol in self._symbols for symbol in piece):
            return bytes(self._symbols[symbol] for symbol in piece)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode("utf-8")


def _library(text: str) -> tokenizers.Tokenizer:
    try:
        made = tokenizers.Tokenizer.from_str(text)
        made.no_truncation()
        made.no_padding()
        made.encode_special_tokens = True  # what is typed is text
        made.encode("a b", add_special_tokens=False)  # some faults show only in use
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise ValueError(str(error)) from error
    return made


def _without_prefix(data: dict[str, Any]) -> dict[str, Any] | None:
    """The same for text that has something before it; None unless the description marks only the first text."""
    pre_tokenizer = data.get("pre_tokenizer") or {}
    if pre_tokenizer.get("type") != "Metaspace" or pre_tokenizer.get("prepend_scheme") != "first":
        return None
    return {**data, "pre_tokenizer": {**pre_tokenizer, "prepend_scheme": "never"}}


def from_scores(tokens: list[str], scores: list[float], kinds: list[int], *, prefixed: bool) -> dict[str, Any]:
    """The description of a vocabulary whose pairs merge by the score of what they make, best first.

    Two neighbours merge when their union is a piece; so every split of a piece into two pieces is a merge, and its
    priority is the piece's score, then the length of its left part (as transformers converts SentencePiece models).
    """
    if not len(tokens) == len(scores) == len(kinds):
        raise ValueError("tokens, scores and kinds differ in number")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    ordinary = [i for i, kind in enumerate(kinds) if kind not in (CONTROL, UNKNOWN, BYTE)]
    merges: list[tuple[float, int, int, int, int, str, str]] = []
    for index in ordinary:
        token = tokens[index]
        for cut in range(1, len(token)):
            left, right = vocabulary.get(token[:cut]), vocabulary.get(token[cut:])
            if left is not None and right is not None:
                merges.append((-scores[index], -cut, cut - len(token), left, right, token[:cut], token[cut:]))
    merges.sort(key=lambda merge: merge[:5])
    unknown = next((tokens[i] for i, kind in enumerate(kinds) if kind == UNKNOWN), None)
    normalizers: list[dict[str, Any]] = [{"type": "Prepend", "prepend": SPACE}] if prefixed else []
    normalizers.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    decoders: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}]
    decoders += [{"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefixed:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    shared = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": tokens[i], "special": kind in (CONTROL, UNKNOWN), **shared}
            for i, kind in enumerate(kinds)
            if kind in (CONTROL, UNKNOWN, USER_DEFINED)
        ],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "unk_token": unknown,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocabulary,
            "merges": [[left, right] for *_, left, right in merges],
        },
    }
