"""The folder of a model: reading one into a ready `LoadedModel`, and writing one whole or not at all."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from engine.catalog import BYTES_PER_WEIGHT, base_of, is_adapter, read_json
from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT
from engine.errors import ModelFolderError
from engine.files.adapter import merged
from engine.files.architectures import find_architecture, from_hugging_face, to_hugging_face
from engine.files.gguf_file import GGUFFile
from engine.files.stored import read_weights
from engine.files.weights import Weights, fill, fill_fused, to_qwen3
from engine.files.writing import write_folder
from engine.run.device import Placement
from engine.run.fuse import Decoder
from engine.text.chat_template import END_OF_TEXT, END_OF_TURN, ChatTemplate
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_files import load_tokenizer, tokenizer_from_gguf

GGUF = "model.gguf"
# Besides what a model's files name as its end: the ends of a turn in the families' own templates.
ENDS = (END_OF_TEXT, END_OF_TURN, "<|eot_id|>", "<|eom_id|>", "<end_of_turn>")


@dataclass(frozen=True)
class LoadedModel:
    """Everything that answering needs."""

    name: str
    model: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate | None
    end_tokens: frozenset[int]


@dataclass(frozen=True)
class OpenedModel:
    """A model whose files have been read but for the weights' numbers."""

    path: Path
    architecture: str
    config: GPTConfig
    weights: Weights
    tokenizer: Tokenizer
    template: ChatTemplate | None
    end_tokens: frozenset[int]
    licence: str | None = None  # as a GGUF file says it


def load(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> LoadedModel:
    """The model in the folder or GGUF file `path`, in plain layers.

    Raises:
        ModelFolderError: anything in it is missing, damaged or unknown to this engine.
    """
    opened = open_model(path)
    return _loaded(opened, fill(opened.config, opened.weights, torch.device(device), dtype))


def load_fused(path: Path, place: Placement) -> LoadedModel:
    """The same in fused layers, for running; it is never in memory twice.

    Raises:
        ModelFolderError: as `load`.
        MemoryError: it does not fit into what is free.
    """
    opened = open_model(path)
    _check_memory(opened, place)
    return _loaded(opened, fill_fused(opened.config, opened.weights, place.device, place.dtype, place.precision))


def _loaded(opened: OpenedModel, model: Decoder) -> LoadedModel:
    path = opened.path.parent if opened.path.name == GGUF else opened.path
    name = path.stem if path.suffix == ".gguf" else path.name
    return LoadedModel(name, model, opened.tokenizer, opened.template, opened.end_tokens)


def open_model(path: Path) -> OpenedModel:
    """Read everything but the weights' numbers, which is quick for any size.

    Raises:
        ModelFolderError: as `load`.
    """
    if is_adapter(path):
        opened = open_model(base := base_of(path))
        return replace(opened, path=path, weights=merged(path, base, opened.weights, opened.architecture))
    if path.is_dir() and (path / GGUF).is_file():
        path = path / GGUF
    opened = _open_gguf(path) if path.suffix == ".gguf" else _open_folder(path)
    if opened.tokenizer.vocab_size > opened.config.vocab_size:
        raise ModelFolderError(
            f"The tokenizer in {path} has {opened.tokenizer.vocab_size} tokens, the model only "
            f"{opened.config.vocab_size}."
        )
    return opened


def _open_folder(folder: Path) -> OpenedModel:
    if not folder.is_dir():
        raise ModelFolderError(f"There is no model folder at {folder}.")
    data = read_json(folder / "config.json")
    architecture, config = find_architecture(data), from_hugging_face(data)
    weights = architecture.rename(read_weights(folder))
    tokenizer = load_tokenizer(folder)
    template = ChatTemplate.load(folder, tokenizer)
    generation = read_json(folder / "generation_config.json") if (folder / "generation_config.json").is_file() else {}
    ends: set[int] = set()
    for source in (data, generation):
        given = source.get("eos_token_id")
        ends |= {given} if isinstance(given, int) else set(given or ())
    return OpenedModel(folder, data["model_type"], config, weights, tokenizer, template, _ends(tokenizer, ends))


def _open_gguf(path: Path) -> OpenedModel:
    if not path.is_file():
        raise ModelFolderError(f"There is no GGUF file at {path}.")
    file = GGUFFile(path)
    tokenizer = tokenizer_from_gguf(file.metadata)
    template = ChatTemplate.from_gguf(file.metadata, tokenizer)
    given = (file.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom"))
    ends = _ends(tokenizer, {int(token) for token in given if token is not None})
    name = file.metadata["general.architecture"]
    licence = file.metadata.get("general.license")
    licence = licence if isinstance(licence, str) else None
    return OpenedModel(path, name, file.config, file.tensors(), tokenizer, template, ends, licence)


def _ends(tokenizer: Tokenizer, given: set[int]) -> frozenset[int]:
    """The tokens that end a reply: those the files name, and those whose only use that is."""
    known = tokenizer.special_tokens
    return frozenset(given | {known[name] for name in ENDS if name in known})


def _check_memory(opened: OpenedModel, place: Placement) -> None:
    """Refuse what certainly does not fit before hours of swapping begin."""
    if place.device.type != "cpu" or not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    needed = int(sum(math.prod(w.shape) for w in opened.weights.values()) * BYTES_PER_WEIGHT[place.precision])
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise ModelFolderError(
            f"This model needs {needed / 1e9:.1f} GB in {place.precision}, and this machine has {there / 1e9:.1f} GB "
            "of memory. Choose a lower precision or a smaller model."
        )


def save(
    folder: Path,
    model: GPT,
    tokenizer_json: dict[str, Any],
    chat_template: str,
    *,
    generation: dict[str, Any],
    training: dict[str, Any],
    card: str,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Write a complete model folder, whole or not at all."""
    special = {token["content"]: token["id"] for token in tokenizer_json["added_tokens"]}
    end, pad = special[END_OF_TURN], special[END_OF_TEXT]
    config: GPTConfig = model.config
    documents = {
        "config.json": to_hugging_face(config, end_token=end, pad_token=pad, dtype=str(dtype).removeprefix("torch.")),
        "tokenizer.json": tokenizer_json,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.context_length,
            "eos_token": END_OF_TURN,
            "pad_token": END_OF_TEXT,
            "clean_up_tokenization_spaces": False,
            "chat_template": chat_template,
        },
        "generation_config.json": {"eos_token_id": [end, pad], "pad_token_id": pad, **generation},
        "training.json": training,
    }
    state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
    write_folder(folder, documents, {"README.md": card}, {"model.safetensors": to_qwen3(state)})
