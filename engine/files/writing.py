"""Writing a folder whole or not at all, and the shape of any decoder as a config.json that opens here again.

What belongs into which folder is said by `model_folder.py`, `adapter.py`, `classifier.py` and `translator.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from engine.decoder.config import GPTConfig
from engine.files.architectures import from_hugging_face, to_hugging_face
from engine.files.weights import to_qwen3


def write_folder(
    folder: Path,
    documents: Mapping[str, Any],
    texts: Mapping[str, str],
    weights: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Write JSON `documents`, `texts` and safetensors `weights` by file name: into a temporary name beside `folder`,
    fsynced, then renamed over it. Tensors go to the CPU as they are."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, data in documents.items():
            (temporary / name).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        for name, tensors in weights.items():
            state = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(state, temporary / name, metadata={"format": "pt"})
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


def shape_and_weights(config: GPTConfig, state: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(entries of config.json, tensors by their names in the file) of a decoder: Qwen3's where the shape is Qwen3's, so
    that transformers opens it, else our own (`model_type` "homespun"), which hold any shape."""
    try:
        data = to_hugging_face(config, end_token=0, pad_token=0, dtype=str(_dtype(state)).removeprefix("torch."))
        if from_hugging_face(data) == config:
            return data, to_qwen3(dict(state))
    except ValueError:
        pass
    return {"format_version": 1, "model_type": "homespun", "shape": asdict(config)}, dict(state)


def _dtype(state: Mapping[str, Tensor]) -> Any:
    return next(iter(state.values())).dtype
