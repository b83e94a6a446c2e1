"""A model's folder as transformers opens it: config.json, safetensors, tokenizer and chat template.

What is there already in Hugging Face's form is carried over as it is; additions (LoRA) are merged on the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.catalog import base_of, is_adapter, read_json
from engine.files.model_folder import OpenedModel, open_model
from engine.files.stored import Stored
from engine.files.weights import check
from engine.files.writing import write_folder
from training.export.disk import check_space
from training.export.families import ExportError, Family, config_json, family_of

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
SHARD = 4 * 1024**3  # bytes of one file of weights
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Files that go along unread. GPT-2's oldest names are what transformers calls otherwise.
TEXTS = {
    "tokenizer.json": "tokenizer.json",
    "tokenizer_config.json": "tokenizer_config.json",
    "special_tokens_map.json": "special_tokens_map.json",
    "added_tokens.json": "added_tokens.json",
    "chat_template.jinja": "chat_template.jinja",
    "generation_config.json": "generation_config.json",
    "vocab.json": "vocab.json",
    "merges.txt": "merges.txt",
    "encoder.json": "vocab.json",
    "vocab.bpe": "merges.txt",
    "training.json": "training.json",
    "README.md": "README.md",
}


def export_hugging_face(source: Path, out: Path, kind: str = "bf16") -> Path:
    """Write the model at `source` (a folder; an adapter is merged into its base) as folder `out`; returns `out`.

    Raises:
        ExportError: `kind` is no precision of safetensors, the shape is nobody's, or the disk is too small.
        ModelFolderError: the model cannot be opened.
    """
    if kind not in DTYPES:
        raise ExportError(f"Hugging Face's folders hold {', '.join(DTYPES)}, not {kind}; {kind} is for GGUF.")
    opened = open_model(source)
    folder = base_of(source) if is_adapter(source) else source
    if folder.suffix == ".gguf" or not (folder / "config.json").is_file():
        raise ExportError(
            f"{folder} is a GGUF file, which does not hold what a Hugging Face folder needs (the tokenizer's own "
            "file). Export the folder that it was made from."
        )
    family = family_of(opened.config)
    data = read_json(folder / "config.json")
    classifier = data.get("task") == "classify"
    if not classifier:
        check(opened.config, opened.weights)  # before anything is written
    described = _described(data, opened, family, kind, classifier=classifier)
    tensors = family.rename(_decoder_only(opened.weights) if classifier else opened.weights)
    dtype = DTYPES[kind]
    check_space(out.parent, sum(_size(stored, dtype) for stored in tensors.values()))
    parts = _Parts(tensors, dtype)
    texts = _texts(folder, source, opened, described)
    documents = {"config.json": described, **({INDEX: parts.index()} if len(parts) > 1 else {})}
    write_folder(out, documents, texts, parts)
    return out


def _described(
    data: dict[str, Any], opened: OpenedModel, family: Family, kind: str, *, classifier: bool
) -> dict[str, Any]:
    """The new config.json: the one that is there, or our own shape in the family's words."""
    if data["model_type"] == "homespun":
        other = {key: value for key, value in data.items() if key not in ("shape", "model_type")}
        ends = sorted(opened.end_tokens)
        fallback = {"bos_token_id": opened.tokenizer.bos, "eos_token_id": ends[0] if ends else None}
        data = {**fallback, **other, **config_json(opened.config, family)}
        if classifier:
            _check_head(data)
            data["architectures"] = [f"{family.causal.split('For')[0].removesuffix('LMHeadModel')}{SEQUENCE}"]
    data = {key: value for key, value in data.items() if key not in ("quantization_config", "dtype")}
    return {**data, "torch_dtype": str(DTYPES[kind]).removeprefix("torch.")}


SEQUENCE = "ForSequenceClassification"


def _check_head(data: Mapping[str, Any]) -> None:
    own = data.get("classifier", {})
    if not own.get("causal", True) or own.get("pooling", "last") != "last":
        raise ExportError(
            "This classifier reads in both directions or means over all tokens, which transformers' own class does "
            "not; it opens here only."
        )


def _decoder_only(weights: Mapping[str, Stored]) -> dict[str, Stored]:
    return {name: stored for name, stored in weights.items() if not name.startswith("head.")}


def _texts(folder: Path, source: Path, opened: OpenedModel, described: Mapping[str, Any]) -> dict[str, str]:
    """Small files by their new names; those of an adapter come before its base's."""
    texts = {}
    for place in (folder, source):
        for name, renamed in TEXTS.items():
            if (place / name).is_file() and not (name == "added_tokens.json" and (place / "tokenizer.json").is_file()):
                texts[renamed] = (place / name).read_text(encoding="utf-8")
    config = json.loads(texts.get("tokenizer_config.json", "{}"))
    if "tokenizer_class" not in config:
        config["tokenizer_class"] = "PreTrainedTokenizerFast" if "tokenizer.json" in texts else "GPT2Tokenizer"
    names = {token: name for name, token in opened.tokenizer.special_tokens.items()}
    ends = (described.get("eos_token_id"), *sorted(opened.end_tokens))
    end = next((names[token] for token in ends if isinstance(token, int) and token in names), None)
    if "eos_token" not in config and end is not None:
        config |= {"eos_token": end, "pad_token": config.get("pad_token") or end}
    texts["tokenizer_config.json"] = json.dumps(config, indent=1, ensure_ascii=False) + "\n"
    return texts


def _size(stored: Stored, dtype: torch.dtype) -> int:
    size = dtype.itemsize
    for n in stored.shape:
        size *= n
    return size


class _Parts(Mapping[str, Mapping[str, Tensor]]):
    """The weights by file name, each file's tensors read when it is that file's turn."""

    def __init__(self, tensors: Mapping[str, Stored], dtype: torch.dtype) -> None:
        self._tensors, self._dtype = tensors, dtype
        files: list[list[str]] = [[]]
        filled = 0
        for name, stored in tensors.items():
            size = _size(stored, dtype)
            if files[-1] and filled + size > SHARD:
                files.append([])
                filled = 0
            files[-1].append(name)
            filled += size
        many = len(files) > 1
        self._files = {
            f"model-{i:05d}-of-{len(files):05d}.safetensors" if many else SINGLE: names
            for i, names in enumerate(files, 1)
        }

    def __getitem__(self, file: str) -> Mapping[str, Tensor]:
        return {name: self._tensors[name].read().to(self._dtype) for name in self._files[file]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def index(self) -> dict[str, Any]:
        total = sum(_size(stored, self._dtype) for stored in self._tensors.values())
        names = {name: file for file, names in self._files.items() for name in names}
        return {"metadata": {"total_size": total}, "weight_map": names}
