"""Adapters on disk: LoRA additions in peft's format, written, and read back into the base model they belong to.

A folder with `adapter_config.json` and `adapter_model.safetensors` opens like a model (model_folder.py): each addition
is merged into its base's matrix at the moment that matrix is read, so that no copy of the base is ever written and
taking the adapter off again is choosing the base. The layers themselves are `engine/decoder/lora.py`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.catalog import ADAPTER_CONFIG, read_json
from engine.decoder.lora import LoRAConfig, LoRALinear, lora_layers
from engine.decoder.model import GPT
from engine.errors import ModelFolderError
from engine.files.architectures import ARCHITECTURES, GPT2_LAYER, LLAMA_LAYER
from engine.files.stored import Stored, read_safetensors
from engine.files.writing import write_folder

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # peft's wrapper around transformers' model
_KEY = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_(A|B)(?:\.default)?\.weight")
_SAMPLE = 1 << 20  # bytes at each end of a weights file that tell it from another


@dataclass(frozen=True)
class Addition:
    """What is added to one matrix: `scale` · B·A, A [rank, in], B [out, rank]."""

    a: Tensor
    b: Tensor
    scale: float

    def to(self, weight: Stored) -> Stored:
        """`weight` with the addition in it, in fp32, computed when it is read."""
        return Stored(weight.shape, lambda: weight.read().float() + self.scale * (self.b.float() @ self.a.float()))


def merged(folder: Path, base: Path, weights: dict[str, Stored], architecture: str) -> dict[str, Stored]:
    """`weights` (our names) of the model at `base`, with the additions in `folder` merged when they are read.

    Raises:
        ModelFolderError: the adapter is damaged, of a kind we cannot merge, or was trained on another base.
    """
    known = read_json(folder / "training.json") if (folder / "training.json").is_file() else {}
    expected = known.get("parent_fingerprint")
    if expected and expected != fingerprint(base):
        raise ModelFolderError(
            f"The adapter {folder} was trained on other weights than those in {base}. Restore that model, or train the "
            "adapter again."
        )
    return apply(weights, read_adapter(folder, architecture))


def apply(weights: dict[str, Stored], additions: dict[str, Addition]) -> dict[str, Stored]:
    """`weights` (our names) with `additions` merged when they are read.

    Raises:
        ModelFolderError: an addition does not fit the matrix that it is for.
    """
    merged = dict(weights)
    for name, addition in additions.items():
        weight = weights.get(f"{name}.weight")
        if weight is None or weight.shape != (addition.b.shape[0], addition.a.shape[1]):
            raise ModelFolderError(f"The adapter does not fit its base model: {name} is missing or of another shape.")
        merged[f"{name}.weight"] = addition.to(weight)
    return merged


def read_adapter(folder: Path, architecture: str) -> dict[str, Addition]:
    """The additions in `folder` by our names of the layers, for a base of `architecture`.

    Raises:
        ModelFolderError: damaged, or more than additions to matrices (DoRA, biases, whole layers).
    """
    config = read_json(folder / ADAPTER_CONFIG)
    _check_kind(config, folder)
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, stored in read_safetensors(folder / WEIGHTS).items():
        found = _KEY.fullmatch(key)
        if found is None:
            raise ModelFolderError(f"The adapter {folder} holds {key}, which is no LoRA matrix of a layer.")
        pairs.setdefault(found[1], {})[found[2]] = stored.read()
    additions: dict[str, Addition] = {}
    for module, pair in pairs.items():
        if pair.keys() != {"A", "B"} or pair["A"].shape[0] != pair["B"].shape[1]:
            raise ModelFolderError(f"The adapter {folder} is damaged: {module} lacks one of its two matrices.")
        if not all(torch.isfinite(matrix).all() for matrix in pair.values()):
            raise ModelFolderError(f"The adapter {folder} is damaged: {module} holds values that are not numbers.")
        scale = _scale(config, module, pair["A"].shape[0])
        additions |= _to_ours(module, Addition(pair["A"], pair["B"], scale), architecture)
    return additions


def _check_kind(config: Mapping[str, Any], folder: Path) -> None:
    kind = config.get("peft_type", "LORA")
    plain = not config.get("use_dora") and config.get("bias", "none") == "none" and not config.get("modules_to_save")
    if kind != "LORA" or not plain:
        raise ModelFolderError(
            f"The adapter {folder} is more than plain LoRA (type {kind}; DoRA, biases or whole layers); merge it into "
            "its base with the tool that made it."
        )


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What B·A is multiplied by at `module`, patterns included; the rank is what the matrices have."""
    alpha = config.get("lora_alpha", rank)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = value
            break
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _to_ours(module: str, addition: Addition, architecture: str) -> dict[str, Addition]:
    """The addition at their `module` as additions at our layers: GPT-2's joint projection is three of ours."""
    known = ARCHITECTURES.get(architecture, ARCHITECTURES["llama"])
    found = known.layers.fullmatch(module.removeprefix("transformer.") if architecture == "gpt2" else module)
    ours = {their: f"blocks.{found[1]}.{our}" for their, our in known.layer_names.items()} if found else {}
    if found and architecture == "gpt2" and found[2] == "attn.c_attn":
        parts = addition.b.chunk(3)
        return {ours[f"attn.{p}"]: replace(addition, b=b.contiguous()) for p, b in zip("qkv", parts, strict=True)}
    if found is None or found[2] not in ours:
        raise ModelFolderError(f"The adapter changes {module}, which this engine's models of its kind do not have.")
    return {ours[found[2]]: addition}


def save_adapter(
    folder: Path, model: GPT, config: LoRAConfig, *, base: str, architecture: str, training: dict[str, Any], card: str
) -> None:
    """Write `model`'s additions to `folder`, whole or not at all; `base` is the name or path of the model below."""
    layers = lora_layers(model)
    tensors = _gpt2_tensors(layers) if architecture == "gpt2" else _plain_tensors(layers)
    documents = {
        ADAPTER_CONFIG: _to_peft(layers, config, base, tensors, gpt2=architecture == "gpt2"),
        "training.json": training,
    }
    weights = {PREFIX + name: tensor.float() for name, tensor in tensors.items()}
    write_folder(folder, documents, {"README.md": card}, {WEIGHTS: weights})


def _plain_tensors(layers: dict[str, LoRALinear]) -> dict[str, Tensor]:
    theirs = {ours: their for their, ours in LLAMA_LAYER.items()}
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        _, number, kind = name.split(".", 2)
        where = f"model.layers.{number}.{theirs[kind]}"
        tensors |= {f"{where}.lora_A.weight": layer.a, f"{where}.lora_B.weight": layer.b}
    return tensors


def _gpt2_tensors(layers: dict[str, LoRALinear]) -> dict[str, Tensor]:
    """Additions at q, k and v become one at GPT-2's joint projection: their A on each other, their B a diagonal."""
    theirs = {ours: their for their, ours in GPT2_LAYER.items()}
    tensors: dict[str, Tensor] = {}
    joint: dict[str, dict[str, LoRALinear]] = {}
    for name, layer in layers.items():
        _, number, kind = name.split(".", 2)
        if kind in ("attention.q", "attention.k", "attention.v"):
            joint.setdefault(number, {})[kind[-1]] = layer
            continue
        where = f"transformer.h.{number}.{theirs[kind]}"
        tensors |= {f"{where}.lora_A.weight": layer.a, f"{where}.lora_B.weight": layer.b}
    for number, parts in joint.items():
        some = next(iter(parts.values()))
        rank, width = some.a.shape[0], some.b.shape[0]
        b = torch.zeros(3 * width, rank * len(parts))
        for column, (part, layer) in enumerate(parts.items()):
            row = "qkv".index(part) * width
            b[row : row + width, column * rank : (column + 1) * rank] = layer.b.detach()
        where = f"transformer.h.{number}.attn.c_attn"
        a = torch.cat([layer.a.detach() for layer in parts.values()])
        tensors |= {f"{where}.lora_A.weight": a, f"{where}.lora_B.weight": b}
    return tensors


def _to_peft(
    layers: dict[str, LoRALinear], config: LoRAConfig, base: str, tensors: dict[str, Tensor], *, gpt2: bool
) -> dict[str, Any]:
    """peft's LoraConfig. Joint projections have their own rank, and an alpha that leaves the scale as it is."""
    modules = sorted({name.rsplit(".", 3)[-3] for name in tensors})
    numbers = sorted({int(name.split(".")[1]) for name in layers})
    joint = sum(part in config.targets for part in "qkv") if gpt2 else 0
    pattern = {"c_attn": joint} if joint > 1 else {}
    # GPT-2 calls two projections c_proj; a target that is not wanted everywhere must be named in full.
    full = sorted({re.sub(r"\.lora_[AB]\.weight$", "", name) for name in tensors})
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": full if gpt2 else modules,
        "layers_to_transform": numbers if config.layers and not gpt2 else None,
        "rank_pattern": {name: config.rank * times for name, times in pattern.items()},
        "alpha_pattern": {name: config.alpha * times for name, times in pattern.items()},
        "fan_in_fan_out": gpt2,
        "bias": "none",
        "inference_mode": True,
        "use_rslora": False,
    }


def fingerprint(path: Path) -> str:
    """Tells the weights of the model at `path` (folder or file) from others: a hash of sizes and both ends of files."""
    files = (
        [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in (".safetensors", ".gguf", ".bin"))
    )
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode() if path.is_dir() else f"{size}\n".encode())
        with file.open("rb") as opened:
            digest.update(opened.read(_SAMPLE))
            opened.seek(max(size - _SAMPLE, 0))
            digest.update(opened.read())
    return digest.hexdigest()
