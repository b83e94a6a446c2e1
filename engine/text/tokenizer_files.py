"""Reading tokenizers, from a model's folder or a GGUF file's metadata: each vocabulary by what runs it exactly."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.catalog import read_json
from engine.errors import ModelFolderError
from engine.text.piece_tokenizer import CONTROL, USER_DEFINED, PieceTokenizer, from_scores
from engine.text.split_patterns import GGUF_PATTERNS, GPT2_PATTERN, pattern_of
from engine.text.tokenizer import Tokenizer, byte_symbols


def load_tokenizer(folder: Path) -> Tokenizer:
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


def tokenizer_from_gguf(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer in a GGUF file's metadata.

    Raises:
        ModelFolderError: there is none, a damaged one, or one of a kind that is not known here.
    """
    try:
        return _from_gguf({k.removeprefix("tokenizer.ggml."): v for k, v in metadata.items()})
    except (KeyError, TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise ModelFolderError(f"The GGUF file holds no tokenizer that can be opened ({_short(error)}).") from error


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


def _optional(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError):
        return {}  # the chat template is read from the same file and will say so


def _short(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"[:160]
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
