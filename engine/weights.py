"""Weights on disk ↔ the decoder's parameters: one key map an architecture, and nothing silent.

Owns names, shapes and precision. What else lies in a model folder is `model_folder.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.config import GPTConfig
from engine.errors import ModelFolderError
from engine.model import GPT

# Hugging Face's name → ours, without the layer's prefix.
QWEN3_LAYER = {
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "mlp_norm",
    "self_attn.q_proj": "attention.q",
    "self_attn.k_proj": "attention.k",
    "self_attn.v_proj": "attention.v",
    "self_attn.o_proj": "attention.out",
    "self_attn.q_norm": "attention.q_norm",
    "self_attn.k_norm": "attention.k_norm",
    "mlp.gate_proj": "mlp.gate",
    "mlp.up_proj": "mlp.up",
    "mlp.down_proj": "mlp.down",
}
QWEN3_TOP = {"model.embed_tokens": "embedding", "model.norm": "norm", "lm_head": "head"}
GPT2_LAYER = {
    "ln_1": "attention_norm",
    "ln_2": "mlp_norm",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
GPT2_TOP = {"wte": "embedding", "wpe": "positions", "ln_f": "norm"}
GPT2_BUFFERS = re.compile(r"(^|\.)attn\.(bias|masked_bias)$|^lm_head\.weight$")


def qwen3_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's Qwen3 names → ours; unknown names stay as they are and are reported by `fill`."""
    state = {}
    for name, tensor in tensors.items():
        module, _, kind = name.rpartition(".")
        layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", module)
        if layer and layer[2] in QWEN3_LAYER:
            state[f"blocks.{layer[1]}.{QWEN3_LAYER[layer[2]]}.{kind}"] = tensor
        else:
            state[f"{QWEN3_TOP.get(module, module)}.{kind}"] = tensor
    return state


def gpt2_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face's GPT-2 names → ours. Its projections are stored [in, out], and q, k, v as one."""
    state = {}
    for full_name, stored in tensors.items():
        name = full_name.removeprefix("transformer.")
        if GPT2_BUFFERS.search(name):
            continue
        module, _, kind = name.rpartition(".")
        layer = re.fullmatch(r"h\.(\d+)\.(.+)", module)
        if not layer:
            state[f"{GPT2_TOP.get(module, module)}.{kind}"] = stored
            continue
        tensor = stored.t().contiguous() if stored.dim() == 2 else stored
        if layer[2] == "attn.c_attn":
            for part, chunk in zip("qkv", tensor.chunk(3), strict=True):
                state[f"blocks.{layer[1]}.attention.{part}.{kind}"] = chunk.clone()
        else:
            state[f"blocks.{layer[1]}.{GPT2_LAYER.get(layer[2], layer[2])}.{kind}"] = tensor
    return state


KEY_MAPS = {"qwen3": qwen3_state, "gpt2": gpt2_state}


def to_qwen3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Ours → Hugging Face's Qwen3 names, the inverse of `qwen3_state`."""
    layer_names = {ours: theirs for theirs, ours in QWEN3_LAYER.items()}
    top_names = {ours: theirs for theirs, ours in QWEN3_TOP.items()}
    out = {}
    for name, tensor in state.items():
        module, _, kind = name.rpartition(".")
        layer = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        renamed = f"model.layers.{layer[1]}.{layer_names[layer[2]]}" if layer else top_names[module]
        out[f"{renamed}.{kind}"] = tensor
    return out


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor in `path`, memory-mapped.

    Raises:
        ModelFolderError: missing, truncated or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelFolderError(
            f"The weights {path} cannot be read: the file is missing, cut short or damaged ({error})."
        ) from error


def fill(config: GPTConfig, state: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> GPT:
    """A decoder of shape `config` that holds `state` in `dtype` on `device`, ready for inference.

    Raises:
        ModelFolderError: tensors are missing, unexpected or of the wrong shape; the sentence names them.
    """
    with torch.device("meta"):
        model = GPT(config)
    expected = dict(model.state_dict())
    if config.tie_embeddings:
        state.pop("head.weight", None)  # some files store the tied head a second time
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of the wrong shape": sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape),
    }
    faults = [
        f"{what}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}" for what, names in problems.items() if names
    ]
    if faults:
        raise ModelFolderError(f"The weights do not fit config.json ({'; '.join(faults)}).")
    model.load_state_dict({k: v.to(device=device, dtype=dtype) for k, v in state.items()}, assign=True)
    if config.position == "rope":
        model.make_rope(device)
    return model.eval().requires_grad_(False)
