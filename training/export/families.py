"""What a decoder's shape is called elsewhere: the family of a `GPTConfig`, its config.json and its tensors' names in
transformers. The same for GGUF is `gguf_keys.py`; which files are written is `hugging_face.py` and `gguf_export.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from engine.decoder.config import GPTConfig
from engine.errors import ModelFolderError
from engine.files.architectures import GEMMA_LAYER, GPT2_LAYER, GPT2_TOP, LLAMA_LAYER, LLAMA_TOP, from_hugging_face
from engine.files.stored import Stored
from training.errors import TrainingError

Weights = Mapping[str, Stored]
LAYER = re.compile(r"blocks\.(\d+)\.(.+)")


class ExportError(TrainingError):
    """A model that cannot be written as asked; the text says why and what to do."""


@dataclass(frozen=True)
class Family:
    """One `model_type` of transformers."""

    kind: str
    causal: str  # transformers' class of the decoder with its language head
    gguf: str  # llama.cpp's name of the architecture
    layer_names: Mapping[str, str]  # ours → theirs
    top_names: Mapping[str, str]
    prefix: str  # of a layer's tensor, before its number

    def rename(self, weights: Weights) -> dict[str, Stored]:
        """Our names → theirs, and what else differs; a name that is nothing of the decoder's stays as it is."""
        adapted = _JOIN[self.kind](weights) if self.kind in _JOIN else dict(weights)
        return {self._name(name): stored for name, stored in adapted.items()}

    def _name(self, name: str) -> str:
        module, _, kind = name.rpartition(".")
        if layer := LAYER.fullmatch(module):
            return f"{self.prefix}.{layer[1]}.{self.layer_names[layer[2]]}.{kind}"
        return f"{self.top_names.get(module, module)}.{kind}"


def family_of(config: GPTConfig) -> Family:
    """The family whose layers compute what a decoder of shape `config` does.

    Raises:
        ExportError: none of those known here.
    """
    rms = config.norm == "rms" and config.position == "rope"
    plain = rms and config.mlp == "swiglu" and not config.post_norms and config.embedding_scale == 1
    windows = config.local_layers
    if config.norm == "layer" and config.mlp == "gelu" and config.position == "learned":
        return FAMILIES["gpt2"]
    if plain and config.qk_norm:
        return FAMILIES["qwen3"]
    if plain and config.attention_bias and not config.output_bias and not config.mlp_bias:
        return FAMILIES["qwen2"]
    if plain and config.attention_bias == config.output_bias:
        return FAMILIES["mistral" if windows and all(windows) else "llama"]
    if rms and config.mlp == "geglu" and config.post_norms and config.qk_norm:
        return FAMILIES["gemma3_text"]
    raise ExportError(
        f"This model's shape (norm {config.norm}, feed-forward {config.mlp}, positions {config.position}) belongs to "
        f"no family that transformers and llama.cpp know; known here are {', '.join(sorted(FAMILIES))}."
    )


def config_json(config: GPTConfig, family: Family) -> dict[str, Any]:
    """The entries of a config.json that describe the shape; whoever reads them gets exactly `config` again.

    Raises:
        ExportError: the shape has something that the family's config.json cannot say.
    """
    data = _gpt2(config) if family.kind == "gpt2" else _decoder(config, family)
    data = {"architectures": [family.causal], "model_type": family.kind, "vocab_size": config.vocab_size, **data}
    try:
        read = from_hugging_face(data)
    except ModelFolderError as error:
        raise ExportError(f"This model cannot be written as {family.kind}: {error}") from error
    if read != config:
        different = [name for name, value in vars(config).items() if getattr(read, name) != value]
        raise ExportError(
            f"This model is like {family.kind} but for {', '.join(different)}, which its config.json cannot say; "
            "transformers cannot open it."
        )
    return data


def _gpt2(config: GPTConfig) -> dict[str, Any]:
    return {
        "n_positions": config.context_length,
        "n_embd": config.d_model,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.d_ff,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": config.tie_embeddings,
    }


def _decoder(config: GPTConfig, family: Family) -> dict[str, Any]:
    """Llama and its relatives."""
    data: dict[str, Any] = {
        "max_position_embeddings": config.context_length,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "head_dim": config.head_dim,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": config.attention_bias,
        "attention_dropout": 0.0,
        "tie_word_embeddings": config.tie_embeddings,
    }
    if len(set(config.rope_divisors)) == 1:
        data["rope_scaling"] = {"rope_type": "linear", "factor": config.rope_divisors[0]}
    if family.kind in ("llama", "mistral"):
        data["mlp_bias"] = config.mlp_bias
    if config.local_layers:
        kinds = ("sliding_attention" if local else "full_attention" for local in config.local_layers)
        data |= {"sliding_window": config.window, "use_sliding_window": True, "layer_types": list(kinds)}
    elif family.kind == "mistral":
        data["sliding_window"] = None
    if family.kind == "gemma3_text":
        scalar = (config.attention_scale or config.head_dim**-0.5) ** -2  # a whole number there
        data |= {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": round(scalar)}
        data |= {"hidden_act": None, "rope_local_base_freq": config.local_rope_theta or config.rope_theta}
    return data


def joined(parts: list[Stored], dim: int) -> Stored:
    """Tensors one after the other along `dim`."""
    sizes = [part.shape[dim] for part in parts]
    shape = (*parts[0].shape[:dim], sum(sizes), *parts[0].shape[dim + 1 :])
    return Stored(shape, lambda: torch.cat([part.read() for part in parts], dim))


def join_qkv(weights: Weights) -> dict[str, Stored]:
    """GPT-2 keeps queries, keys and values as one projection, here called `attention.qkv`."""
    out = {}
    for name, stored in weights.items():
        if ".attention.q." in name:
            out[name.replace(".q.", ".qkv.")] = joined([weights[name.replace(".q.", f".{p}.")] for p in "qkv"], 0)
        elif ".attention.k." not in name and ".attention.v." not in name:
            out[name] = stored
    return out


def _to_gpt2(weights: Weights) -> dict[str, Stored]:
    """Its projections are stored [in, out]."""
    return {
        name: stored.transposed() if name.startswith("blocks.") and len(stored.shape) == 2 else stored
        for name, stored in join_qkv(weights).items()
    }


def _to_gemma(weights: Weights) -> dict[str, Stored]:
    """Its norms multiply by 1 + weight."""
    return {name: stored.plus(-1.0) if name.endswith("norm.weight") else stored for name, stored in weights.items()}


def _inverse(names: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    return {ours: prefix + theirs for theirs, ours in names.items()}


_JOIN: dict[str, Callable[[Weights], dict[str, Stored]]] = {"gpt2": _to_gpt2, "gemma3_text": _to_gemma}
_GPT2_LAYER = {**_inverse(GPT2_LAYER), "attention.qkv": "attn.c_attn"}
_LLAMA_TOP, _LLAMA = _inverse(LLAMA_TOP), _inverse(LLAMA_LAYER)
_LAYERS = "model.layers"
FAMILIES = {
    f.kind: f
    for f in (
        Family(
            "gpt2",
            "GPT2LMHeadModel",
            "gpt2",
            _GPT2_LAYER,
            _inverse(GPT2_TOP, "transformer.") | {"head": "lm_head"},
            "transformer.h",
        ),
        Family("llama", "LlamaForCausalLM", "llama", _LLAMA, _LLAMA_TOP, _LAYERS),
        Family("mistral", "MistralForCausalLM", "llama", _LLAMA, _LLAMA_TOP, _LAYERS),
        Family("qwen2", "Qwen2ForCausalLM", "qwen2", _LLAMA, _LLAMA_TOP, _LAYERS),
        Family("qwen3", "Qwen3ForCausalLM", "qwen3", _LLAMA, _LLAMA_TOP, _LAYERS),
        Family("gemma3_text", "Gemma3ForCausalLM", "gemma3", _inverse(GEMMA_LAYER), _LLAMA_TOP, _LAYERS),
    )
}
