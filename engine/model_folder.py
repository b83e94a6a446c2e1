"""The folder of a model: reading one into a ready `LoadedModel`, and writing one whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from engine.catalog import describe, read_json
from engine.chat_template import END_OF_TEXT, END_OF_TURN, ChatTemplate
from engine.config import GPTConfig, from_hugging_face, to_hugging_face
from engine.errors import ModelFolderError
from engine.model import GPT
from engine.tokenizer import Tokenizer
from engine.weights import KEY_MAPS, fill, read_safetensors, to_qwen3


@dataclass(frozen=True)
class LoadedModel:
    """Everything that answering needs."""

    name: str
    model: GPT
    tokenizer: Tokenizer
    template: ChatTemplate | None
    end_tokens: frozenset[int]


def load(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> LoadedModel:
    """The model in `folder`.

    Raises:
        ModelFolderError: anything in the folder is missing, damaged or unknown to this engine.
    """
    info = describe(folder)
    data = read_json(folder / "config.json")
    config = from_hugging_face(data)
    state = KEY_MAPS[data["model_type"]](read_safetensors(folder / "model.safetensors"))
    model = fill(config, state, torch.device(device), dtype)
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelFolderError(
            f"The tokenizer in {folder} has {tokenizer.vocab_size} tokens, the model only {config.vocab_size}."
        )
    ends = data.get("eos_token_id")
    end_tokens = {ends} if isinstance(ends, int) else set(ends or ())
    end_tokens |= {tokenizer.special_tokens[t] for t in (END_OF_TEXT, END_OF_TURN) if t in tokenizer.special_tokens}
    return LoadedModel(info.name, model, tokenizer, ChatTemplate.load(folder, tokenizer), frozenset(end_tokens))


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
    """Write a complete model folder: into a temporary name beside `folder`, fsynced, then renamed over it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    special = {token["content"]: token["id"] for token in tokenizer_json["added_tokens"]}
    end, pad = special[END_OF_TURN], special[END_OF_TEXT]
    config: GPTConfig = model.config
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
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
    try:
        for name, data in documents.items():
            (temporary / name).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (temporary / "README.md").write_text(card, encoding="utf-8")
        state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}
        save_file(to_qwen3(state), temporary / "model.safetensors", metadata={"format": "pt"})
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, folder: Path) -> None:
    """Make `temporary` durable and give it its name; an older folder goes only when the new one is there."""
    for path in (*temporary.iterdir(), temporary):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    temporary.chmod(0o755)
    old = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
