"""A model's vocabulary and chat template as the keys of a GGUF file, so that llama.cpp makes the ids we make.

Byte-level BPE with a pre-tokenizer that llama.cpp knows by name, and SentencePiece-style BPE with scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.catalog import read_json
from engine.files.gguf_file import GGUFFile
from engine.files.model_folder import OpenedModel
from engine.text.chat_template import END_OF_TEXT
from engine.text.piece_tokenizer import SPACE
from engine.text.split_patterns import DIGITS_PATTERN, GPT2_PATTERN, LLAMA3_PATTERN, QWEN2_PATTERN, pattern_of
from training.export.families import ExportError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
# Pattern → the name under which llama.cpp has it.
PRE = {GPT2_PATTERN: "gpt-2", QWEN2_PATTERN: "qwen2", LLAMA3_PATTERN: "llama-bpe", DIGITS_PATTERN: "smollm"}
Keys = dict[str, Any]
FIRST = (
    "A text that itself begins with a space gets another one before it in llama.cpp, which this tokenizer does not do; "
    "all other texts become the same tokens."
)


def vocabulary_keys(folder: Path, opened: OpenedModel, notes: list[str]) -> Keys:
    """The keys `tokenizer.…` for the model whose tokenizer lies in `folder` (or in the GGUF file `folder`).

    What a person should know is added to `notes`.

    Raises:
        ExportError: llama.cpp has no such vocabulary.
    """
    if folder.suffix == ".gguf" or not (folder / "config.json").is_file():
        file = folder if folder.suffix == ".gguf" else folder / "model.gguf"
        return {k: v for k, v in GGUFFile(file).metadata.items() if k.startswith("tokenizer.")}
    data = _description(folder)
    size = opened.config.vocab_size
    model = data["model"]
    if model.get("type", "BPE") != "BPE":
        raise ExportError(
            f"The vocabulary is of the kind {model['type']}; llama.cpp is given BPE vocabularies only from here."
        )
    keys = _pieces(data, size) if model.get("byte_fallback") else _byte_level(data, size)
    keys |= _special(folder, opened)
    if keys["model"] == "llama" and (data.get("pre_tokenizer") or {}).get("type") == "Metaspace":
        notes.append(FIRST)
    own = {f"tokenizer.ggml.{name}": value for name, value in keys.items() if value is not None}
    if opened.template is not None:
        own["tokenizer.chat_template"] = opened.template.source
    return own


def _description(folder: Path) -> Mapping[str, Any]:
    """The content of tokenizer.json; the like made out of GPT-2's pair of files."""
    for vocabulary, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        if not (folder / "tokenizer.json").is_file() and (folder / vocabulary).is_file():
            lines = (folder / merges).read_text(encoding="utf-8").splitlines()
            pairs = [line for line in lines if line.strip() and not line.startswith("#version")]
            vocab = read_json(folder / vocabulary)
            added = (
                [{"content": END_OF_TEXT, "id": vocab[END_OF_TEXT], "special": True}] if END_OF_TEXT in vocab else []
            )
            return {
                "model": {"type": "BPE", "vocab": vocab, "merges": pairs},
                "added_tokens": added,
                "pre_tokenizer": {"type": "ByteLevel"},
            }
    return read_json(folder / "tokenizer.json")


def _byte_level(data: Mapping[str, Any], size: int) -> Keys:
    pattern = pattern_of(data)
    name = PRE.get(pattern or "")
    normalizer = (data.get("normalizer") or {}).get("type")
    if name is None or normalizer not in (None, "NFC"):
        raise ExportError(
            "llama.cpp has no name for the way this tokenizer splits text before merging, so it would make other ids; "
            f"known here are {', '.join(PRE.values())}."
        )
    tokens, types = _table(data, size)
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    keys: Keys = {"model": "gpt2", "pre": name, "tokens": tokens, "token_type": types}
    # Unknown to llama.cpp, which never composes; this engine does for Qwen's own vocabularies and reads it here.
    return {**keys, "merges": pairs or None, "homespun.composed": normalizer == "NFC"}


def _table(data: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """(tokens, kinds), one for each row of the embedding: rows without a token get a name that no text makes."""
    tokens, types = [f"[PAD{i}]" for i in range(size)], [UNUSED] * size
    for token, index in data["model"]["vocab"].items():
        tokens[index], types[index] = token, NORMAL
    for added in data.get("added_tokens") or ():
        tokens[added["id"]], types[added["id"]] = added["content"], CONTROL if added.get("special") else USER_DEFINED
    return tokens, types


def _pieces(data: Mapping[str, Any], size: int) -> Keys:
    """SentencePiece-style BPE: llama.cpp merges whatever makes the piece with the highest score.

    A score is minus the place of the first merge that makes the piece. That says the same as the merges where all that
    make one piece stand together, as they do in every converted vocabulary.
    """
    tokens, types = _table(data, size)
    unknown = data["model"].get("unk_token")
    for index, token in enumerate(tokens):
        if token == unknown:
            types[index] = UNKNOWN
        elif types[index] == NORMAL and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            types[index] = BYTE
    rank: dict[str, int] = {}
    last = ""
    for place, merge in enumerate(data["model"]["merges"]):
        made = "".join(merge if isinstance(merge, list) else merge.split(" "))
        if made in rank and made != last:
            raise ExportError(
                "The vocabulary's merges are in an order that scores cannot express; llama.cpp needs them."
            )
        rank.setdefault(made, place)
        last = made
    scores = [
        -float(rank.get(token, len(rank))) if kind == NORMAL else 0.0 for token, kind in zip(tokens, types, strict=True)
    ]
    return {
        "model": "llama",
        "pre": "default",
        "tokens": tokens,
        "scores": scores,
        "token_type": types,
        "add_space_prefix": _prefixed(data),
    }


def _prefixed(data: Mapping[str, Any]) -> bool:
    """Whether a text gets a space in front of it."""
    normalizer = data.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    before = data.get("pre_tokenizer") or {}
    return any(step.get("type") == "Prepend" and step.get("prepend") == SPACE for step in steps) or (
        before.get("type") == "Metaspace" and before.get("prepend_scheme", "always") != "never"
    )


def _special(folder: Path, opened: OpenedModel) -> Keys:
    """Which tokens begin, end and pad; llama.cpp guesses where nothing is said, and guesses badly."""
    config = read_json(folder / "config.json")
    generation = read_json(folder / "generation_config.json") if (folder / "generation_config.json").is_file() else {}
    known = opened.tokenizer.special_tokens
    named = config.get("eos_token_id")
    listed = [*_as_list(named), *_as_list(generation.get("eos_token_id")), *sorted(opened.end_tokens)]
    end = next(iter(listed), None)
    text_end = known.get(END_OF_TEXT, end)
    begin = opened.tokenizer.bos if opened.tokenizer.bos is not None else config.get("bos_token_id")
    padding = next(iter(_as_list(config.get("pad_token_id"))), text_end)
    return {
        "bos_token_id": begin if begin is not None else text_end,
        "eos_token_id": end,
        "padding_token_id": padding,
        "add_bos_token": opened.tokenizer.bos is not None,
        "add_eos_token": False,
    }


def _as_list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value or ())
