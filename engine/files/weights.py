"""Stored tensors → the decoder's parameters, and nothing silent: what is missing, strange or no number is named.

Owns names, shapes and precision. Opening the files is `stored.py` and `gguf_file.py`; their names are translated in
`architectures.py`.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT
from engine.errors import ModelFolderError
from engine.files.architectures import LLAMA_LAYER, LLAMA_TOP
from engine.files.memory import returned_at_once
from engine.files.stored import Stored
from engine.run.fuse import FusedGPT, activations, mean_free
from engine.run.fused_layers import FusedBlock
from engine.run.linear import Precision

Weights = dict[str, Stored]


def fill(config: GPTConfig, weights: Weights, device: torch.device, dtype: torch.dtype) -> GPT:
    """A decoder of shape `config` that holds `weights` in `dtype` on `device`; plain layers, made to be looked into.

    Raises:
        ModelFolderError: tensors are missing, unexpected, of the wrong shape or no numbers; the sentence names them.
    """
    model = _empty(config, weights)
    for name, stored in weights.items():
        _put(model, name, _read(name, stored).to(device=device, dtype=dtype))
    if config.position == "rope":
        model.make_rope(device)
    return model.eval().requires_grad_(False)


def fill_fused(
    config: GPTConfig, weights: Weights, device: torch.device, dtype: torch.dtype, precision: Precision
) -> FusedGPT:
    """The same decoder fused (fuse.py), in `precision`, made layer by layer: never twice in memory.

    Raises:
        ModelFolderError: as `fill`.
    """
    with returned_at_once():
        return _fill_fused(config, weights, device, activations(config.d_model, dtype, precision, device), precision)


def _fill_fused(
    config: GPTConfig, weights: Weights, device: torch.device, dtype: torch.dtype, precision: Precision
) -> FusedGPT:
    model = _empty(config, weights)
    count = model.parameter_count()
    blocks: list[FusedBlock] = []
    stream = mean_free(config, dtype, precision, device)
    for layer, block in enumerate(model.blocks):
        prefix = f"blocks.{layer}."
        for name, stored in weights.items():
            if name.startswith(prefix):
                _put(block, name.removeprefix(prefix), _read(name, stored).to(device))
        blocks.append(FusedBlock(block, dtype, precision, stream))  # type: ignore[arg-type]
        model.blocks[layer] = nn.Identity()  # lets the plain weights go
    for name, stored in weights.items():
        if not name.startswith(("blocks.", "embedding.")):
            _put(model, name, _read(name, stored).to(device))
    if device.type != "cpu":
        _put(model, "embedding.weight", _read("embedding.weight", weights["embedding.weight"]).to(device, dtype))
    elif config.tie_embeddings:  # the table is the head, and read whole in any case
        _read("embedding.weight", weights["embedding.weight"])
    if config.position == "rope":
        model.make_rope(device)
    return FusedGPT(model, blocks, weights["embedding.weight"], dtype, precision, count, stream)


def check(config: GPTConfig, weights: Weights) -> int:
    """Whether `weights` fit `config`, by names and shapes alone; returns the number of parameters.

    Raises:
        ModelFolderError: they do not.
    """
    return _empty(config, weights).parameter_count()


def _empty(config: GPTConfig, weights: Weights) -> GPT:
    """A decoder without memory of its own, once names and shapes have been seen to fit."""
    with torch.device("meta"):
        model = GPT(config, tables=False)  # computing on no memory would import 70 MB and take a second
    if config.tie_embeddings:
        weights.pop("head.weight", None)  # some files store the tied head a second time
    expected = dict(model.state_dict())
    problems = {
        "missing": sorted(expected.keys() - weights.keys()),
        "unexpected": sorted(weights.keys() - expected.keys()),
        "of the wrong shape": sorted(
            name for name in expected.keys() & weights.keys() if tuple(expected[name].shape) != weights[name].shape
        ),
    }
    faults = [
        f"{what}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" for what, names in problems.items() if names
    ]
    if faults:
        raise ModelFolderError(f"The weights do not fit the model's config ({'; '.join(faults)}).")
    return model


def _read(name: str, stored: Stored) -> Tensor:
    tensor = stored.read()
    # A sum is not a number as soon as one of its terms is not; it is ten times cheaper than asking each.
    if not torch.isfinite(tensor.sum(dtype=torch.float32 if tensor.dtype != torch.float64 else None)):
        raise ModelFolderError(f"The weights are damaged: {name} holds values that are not numbers.")
    return tensor


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Make `tensor` the parameter `name` of `module`."""
    path, _, last = name.rpartition(".")
    setattr(module.get_submodule(path), last, nn.Parameter(tensor, requires_grad=False))


def to_qwen3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names → Hugging Face's for Qwen3."""
    layer_names = {ours: theirs for theirs, ours in LLAMA_LAYER.items()}
    top_names = {ours: theirs for theirs, ours in LLAMA_TOP.items()}
    out = {}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        layer = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        renamed = f"model.layers.{layer[1]}.{layer_names[layer[2]]}" if layer else top_names[module]
        out[f"{renamed}.{kind}"] = tensor
    return out
