"""Tokenizer: text ↔ ids. Byte-level BPE, which most open models have, is run here by tiktoken.

Special tokens are only ever made by `special`, never out of text: what a user types stays text. Vocabularies of other
kinds are `piece_tokenizer.py`; chat turns are `chat_template.py`; training one is `training/data/tokenizer.py`.
"""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import tiktoken

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.text.split_patterns import GGUF_PATTERNS, GPT2_PATTERN, QWEN2_PATTERN, pattern_of

__all__ = ["GPT2_PATTERN", "QWEN2_PATTERN", "Tokenizer", "byte_symbols"]

LARGEST_ID = 2**24  # no vocabulary comes near; a table as long as a damaged file's id would fill the memory
CONTROL, USER_DEFINED = 3, 4  # GGUF's kinds of tokens that are no ordinary text


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
        self.vocab_size = _size([*ranks.values(), *special.values()])
        self._encoding = tiktoken.Encoding("homespun", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """The tokenizer of a model folder: `tokenizer.json`, or GPT-2's pair of files.

        Raises:
            ModelFolderError: there is none, or a damaged one.
        """
        config = _optional(folder / "tokenizer_config.json")
        for vocabulary, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
            if not (folder / "tokenizer.json").is_file() and (folder / vocabulary).is_file():
                return _from_pair(folder / vocabulary, folder / merges)
        path = folder / "tokenizer.json"
        data = read_json(path)
        try:
            return _from_json(data, config, path)
        except (KeyError, TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            raise ModelFolderError(f"{path} is no tokenizer that can be opened ({_short(error)}).") from error

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer in a GGUF file's metadata.

        Raises:
            ModelFolderError: there is none, a damaged one, or one of a kind that is not known here.
        """
        try:
            return _from_gguf({k.removeprefix("tokenizer.ggml."): v for k, v in metadata.items()})
        except (KeyError, TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            raise ModelFolderError(f"The GGUF file holds no tokenizer that can be opened ({_short(error)}).") from error

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


def _from_json(data: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`: by tiktoken where that is exact, else by the format's own library."""
    model, pattern = data["model"], pattern_of(data)
    normalizer = (data.get("normalizer") or {}).get("type")
    plain = model.get("type", "BPE") == "BPE" and not model.get("byte_fallback") and not model.get("dropout")
    added = {token["content"]: token["id"] for token in data.get("added_tokens", ())}
    bos = _bos(data, config, added)
    if plain and pattern is not None and normalizer in (None, "NFC") and _in_id_order(model):
        ranks = _to_bytes((token, rank) for token, rank in model["vocab"].items() if token not in added)
        return Tokenizer(ranks, added, pattern, composed=normalizer == "NFC", bos=bos)
    from engine.text.piece_tokenizer import PieceTokenizer

    return PieceTokenizer(dict(data), bos, path.read_text(encoding="utf-8"))


def _from_pair(vocabulary: Path, merges: Path) -> Tokenizer:
    """GPT-2's `vocab.json` and `merges.txt`: the ids alone say everything, the merges are in their order."""
    if not merges.is_file():
        raise ModelFolderError(f"{vocabulary} needs {merges.name} beside it.")
    vocab = read_json(vocabulary)
    special = {name: vocab.pop(name) for name in list(vocab) if name == "<|endoftext|>"}
    try:
        return Tokenizer(_to_bytes(vocab.items()), special, GPT2_PATTERN)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderError(f"{vocabulary} is no vocabulary of GPT-2's kind ({_short(error)}).") from error


def _from_gguf(own: Mapping[str, Any]) -> Tokenizer:
    tokens: list[str] = list(own["tokens"])
    kinds: list[int] = list(own.get("token_type") or [1] * len(tokens))
    numbered = enumerate(zip(tokens, kinds, strict=True))
    special = {token: index for index, (token, kind) in numbered if kind in (CONTROL, USER_DEFINED)}
    wants = bool(own.get("add_bos_token", own["model"] == "llama"))
    bos = int(own["bos_token_id"]) if wants and "bos_token_id" in own else None
    if own["model"] == "gpt2":
        name = own.get("pre", "default")
        if name not in GGUF_PATTERNS:
            raise ValueError(f"its pre-tokenizer {name!r} is not known; known are {', '.join(GGUF_PATTERNS)}")
        ranks = _to_bytes((token, index) for index, token in enumerate(tokens) if token not in special)
        # Qwen's own vocabularies compose, which a GGUF file cannot say; one that training/export wrote does.
        composed = bool(own.get("homespun.composed", name == "qwen2"))
        return Tokenizer(ranks, special, GGUF_PATTERNS[name], composed=composed, bos=bos)
    if own["model"] == "llama":
        from engine.text.piece_tokenizer import PieceTokenizer, from_scores

        prefixed = bool(own.get("add_space_prefix", True))
        return PieceTokenizer(from_scores(tokens, list(own["scores"]), kinds, prefixed=prefixed), bos)
    raise ValueError(f"its vocabulary is of the kind {own['model']!r}, and only gpt2 and llama are known")


def _to_bytes(vocabulary: Iterable[tuple[str, int]]) -> dict[bytes, int]:
    """Tokens in byte symbols → their bytes; ValueError for a token that is written otherwise."""
    table = {ord(symbol): byte for byte, symbol in byte_symbols().items()}
    return {token.translate(table).encode("latin-1"): rank for token, rank in vocabulary}


def _in_id_order(model: Mapping[str, Any]) -> bool:
    """Whether merging by id, as tiktoken does, is merging in the order of the merges."""
    pairs = (merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"])
    merged = [model["vocab"]["".join(pair)] for pair in pairs]
    return all(later >= earlier for earlier, later in itertools.pairwise(merged))


def _bos(data: Mapping[str, Any], config: Mapping[str, Any], added: Mapping[str, int]) -> int | None:
    """The token that a plain text begins with, as the post-processor or the older flag says."""
    for step in (data.get("post_processor") or {}).get("processors", [data.get("post_processor") or {}]):
        if step.get("type") == "TemplateProcessing" and "SpecialToken" in step["single"][0]:
            return added.get(step["single"][0]["SpecialToken"]["id"])
    name = config.get("bos_token")
    name = name.get("content") if isinstance(name, dict) else name
    return added.get(name) if config.get("add_bos_token") is True and isinstance(name, str) else None


def _size(ids: list[int]) -> int:
    """One more than the largest id; ValueError for ids that cannot be, or that two tokens share."""
    if not all(isinstance(token, int) and 0 <= token < LARGEST_ID for token in ids):
        raise ValueError("its ids are not all whole numbers of a sensible size")
    if len(set(ids)) != len(ids):
        raise ValueError("two of its tokens have the same id")
    return max(ids) + 1


def _optional(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return {}  # the chat template is read from the same file and will say so


def _short(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"[:160]
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
