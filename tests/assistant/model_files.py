"""Model folders for the tests of adding: files with honest headers and nothing an engine could use, or the real one."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

BUNDLED = Path(__file__).parents[2] / "engine" / "bundled" / "homespun-v0"
FACTS = {"architecture": "qwen3", "parameters": 1000, "context_length": 64, "has_template": True}


def safetensors(size: int = 300_000, seed: int = 0) -> bytes:
    """A safetensors file of one tensor of `size` random bytes."""
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size)


def gguf(entries: int = 0, tensors: int = 0) -> bytes:
    """The beginning of a GGUF file, and some bytes."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + bytes(200)


def files(size: int = 300_000) -> dict[str, bytes]:
    """A repository as they look, with what is not wanted beside what is."""
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "README.md": b"---\nlicense: mit\n---\n# A model\n",
        "config.json": json.dumps({"model_type": "qwen3", "max_position_embeddings": 64}).encode(),
        "tokenizer.json": json.dumps({"filler": "x" * 20_000}).encode(),
        "model.safetensors": safetensors(size),
        "pytorch_model.bin": b"pickle" * 5000,
        "onnx/model.onnx": b"onnx" * 5000,
    }


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def hollow(folder: Path, size: int, **training: object) -> Path:
    """A model folder that can be listed: its weights are `size` bytes of nothing, `training` is in its card."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3", "max_position_embeddings": 1024}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "training.json").write_text(json.dumps({"name": folder.name, **training}))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size)
    return folder
