"""The architectures that Hugging Face folders come in: how each one's config.json becomes a `GPTConfig`, and what its
tensors are called here. One entry an architecture; the same names for GGUF files are in `gguf_file.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.decoder.config import GPTConfig
from engine.decoder.rope import scaling
from engine.errors import ModelFolderError
from engine.files.stored import Stored

Data = Mapping[str, Any]
Weights = dict[str, Stored]


@dataclass(frozen=True)
class Architecture:
    """Builder and key map of one `model_type`."""

    config: Callable[[Data], GPTConfig]
    layers: re.Pattern[str]  # a layer's tensor: group 1 its number, group 2 the module
    layer_names: Mapping[str, str]  # theirs → ours
    top_names: Mapping[str, str]
    adapt: Callable[[Weights], Weights] = field(default=lambda weights: weights)  # what renaming cannot do

    def rename(self, tensors: Weights) -> Weights:
        """Their names → ours; unknown ones stay as they are and are reported when the decoder is filled."""
        state = {}
        for name, tensor in self.adapt(tensors).items():
            module, _, kind = name.rpartition(".")
            if layer := self.layers.fullmatch(module):
                module = f"blocks.{layer[1]}.{self.layer_names.get(layer[2], layer[2])}"
            else:
                module = self.top_names.get(module, module)
            state[f"{module}.{kind}"] = tensor
        return state


def find_architecture(data: Data) -> Architecture:
    """The architecture of a config.json.

    Raises:
        ModelFolderError: one that this engine does not have.
    """
    kind = data.get("model_type")
    if isinstance(kind, str) and kind in ARCHITECTURES:
        return ARCHITECTURES[kind]
    raise ModelFolderError(
        f"This engine cannot open models of type {kind!r}; it knows {', '.join(sorted(ARCHITECTURES))}."
    )


def from_hugging_face(data: Data) -> GPTConfig:
    """The config in a `config.json`.

    Raises:
        ModelFolderError: an architecture, or a variant of one, that this engine does not have.
    """
    builder = find_architecture(data).config
    try:
        return builder(data)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise ModelFolderError(f"This model's config.json does not describe a model we can open: {what}.") from error


def _decoder(data: Data, **traits: Any) -> GPTConfig:
    """What Llama and its relatives have in common; `traits` are what one of them does differently."""
    head_dim = data.get("head_dim") or data["hidden_size"] // data["num_attention_heads"]
    rope, theta = _rope(data)
    context_length = data["max_position_embeddings"]
    divisors, magnitude = scaling(rope, head_dim, theta, context_length)
    common: dict[str, Any] = {
        "vocab_size": data["vocab_size"],
        "context_length": context_length,
        "n_layer": data["num_hidden_layers"],
        "n_head": data["num_attention_heads"],
        "n_kv_head": data.get("num_key_value_heads") or data["num_attention_heads"],
        "head_dim": head_dim,
        "d_model": data["hidden_size"],
        "d_ff": data["intermediate_size"],
        "norm_eps": data.get("rms_norm_eps", 1e-6),
        "mlp": _gate(data.get("hidden_act") or data.get("hidden_activation") or "silu"),
        "rope_theta": theta,
        "rope_divisors": divisors,
        "rope_magnitude": magnitude,
        "qk_norm": False,
        "tie_embeddings": bool(data.get("tie_word_embeddings", False)),
    }
    return GPTConfig(**(common | traits))


def _gate(activation: str) -> str:
    """The gated feed-forward with this activation; ValueError for one that is not here."""
    known = {"silu": "swiglu", "swish": "swiglu", "gelu_pytorch_tanh": "geglu", "gelu_new": "geglu"}
    if activation not in known:
        raise ValueError(f"the activation {activation!r} is not known here")
    return known[activation]


def _rope(data: Data) -> tuple[Data, float]:
    """(scaling entry, base), from where transformers 5 or the older ones keep them."""
    rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
    if "full_attention" in rope:
        rope = rope["full_attention"]
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError("it turns only a part of each head (partial_rotary_factor)")
    return rope, float(rope.get("rope_theta") or data.get("rope_theta") or 10_000.0)


def _windowed(data: Data, *, local_by_default: bool) -> dict[str, Any]:
    """Which layers look at a window only, and how wide it is."""
    window = data.get("sliding_window")
    if not window or not data.get("use_sliding_window", True):
        return {}
    kinds = data.get("layer_types") or [
        "sliding_attention" if local_by_default or layer >= data.get("max_window_layers", 0) else "full_attention"
        for layer in range(data["num_hidden_layers"])
    ]
    local = tuple(kind == "sliding_attention" for kind in kinds)
    return {"local_layers": local, "window": window} if any(local) else {}


def _llama(data: Data) -> GPTConfig:
    bias = bool(data.get("attention_bias", False))
    return _decoder(data, attention_bias=bias, output_bias=bias, mlp_bias=bool(data.get("mlp_bias", False)))


def _mistral(data: Data) -> GPTConfig:
    return _decoder(data, **_windowed(data, local_by_default=True))


def _qwen2(data: Data) -> GPTConfig:
    return _decoder(data, attention_bias=True, **_windowed(_qwen_window(data), local_by_default=False))


def _qwen3(data: Data) -> GPTConfig:
    bias = bool(data.get("attention_bias", False))
    windowed = _windowed(_qwen_window(data), local_by_default=False)
    return _decoder(data, qk_norm=True, attention_bias=bias, output_bias=bias, **windowed)


def _qwen_window(data: Data) -> Data:
    return {**data, "use_sliding_window": bool(data.get("use_sliding_window", False))}


def _gemma3(data: Data) -> GPTConfig:
    if data.get("final_logit_softcapping") or data.get("attn_logit_softcapping"):
        raise ValueError("it caps its logits, which this engine does not")
    if data.get("use_bidirectional_attention"):
        raise ValueError("it attends in both directions, which this engine does not")
    rope = data.get("rope_parameters") or {}
    local = rope.get("sliding_attention", {}).get("rope_theta") or data.get("rope_local_base_freq") or 10_000.0
    full = {} if "full_attention" in rope else {"rope_theta": data.get("rope_theta", 1_000_000.0)}
    pattern = data.get("sliding_window_pattern") or data.get("_sliding_window_pattern") or 6
    kinds = data.get("layer_types") or [
        "sliding_attention" if (layer + 1) % pattern else "full_attention" for layer in range(data["num_hidden_layers"])
    ]
    return _decoder(
        {**data, **full, "tie_word_embeddings": data.get("tie_word_embeddings", True)},
        qk_norm=True,
        post_norms=True,
        local_rope_theta=float(local),
        attention_scale=float(data["query_pre_attn_scalar"]) ** -0.5,
        embedding_scale=float(data["hidden_size"]) ** 0.5,
        **_windowed({**data, "layer_types": kinds}, local_by_default=False),
    )


def _gpt2(data: Data) -> GPTConfig:
    if data.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise ValueError(f"the activation {data['activation_function']!r} is not known here")
    d_model, n_head = data["n_embd"], data["n_head"]
    return GPTConfig(
        vocab_size=data["vocab_size"],
        context_length=data["n_positions"],
        n_layer=data["n_layer"],
        n_head=n_head,
        n_kv_head=n_head,
        head_dim=d_model // n_head,
        d_model=d_model,
        d_ff=data.get("n_inner") or 4 * d_model,
        norm="layer",
        norm_eps=data.get("layer_norm_epsilon", 1e-5),
        mlp="gelu",
        position="learned",
        qk_norm=False,
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
    )


def _own(data: Data) -> GPTConfig:
    shape: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data["shape"].items()}
    return GPTConfig(**shape)


def _gpt2_adapt(tensors: Weights) -> Weights:
    """GPT-2's projections are stored [in, out], and q, k, v as one."""
    state = {}
    for full_name, stored in tensors.items():
        name = full_name.removeprefix("transformer.")
        if re.search(r"(^|\.)attn\.(bias|masked_bias)$|^lm_head\.weight$", name):
            continue  # constants, and the tied head a second time
        projection = re.search(r"\.(attn|mlp)\.c_", name) is not None
        tensor = stored.transposed() if projection and len(stored.shape) == 2 else stored
        if ".attn.c_attn." not in name:
            state[name] = tensor
            continue
        for index, part in enumerate("qkv"):
            state[name.replace("c_attn", part)] = tensor.part(index, 3)
    return state


def _gemma_adapt(tensors: Weights) -> Weights:
    """Gemma's norms multiply by 1 + weight."""
    return {name: stored.plus(1.0) if name.endswith("norm.weight") else stored for name, stored in tensors.items()}


def _llama_adapt(tensors: Weights) -> Weights:
    """Older files carry the rotary frequencies along, which are computed here."""
    return {name: stored for name, stored in tensors.items() if not name.endswith("rotary_emb.inv_freq")}


LLAMA_LAYER = {
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
LLAMA_TOP = {"model.embed_tokens": "embedding", "model.norm": "norm", "lm_head": "head"}
GEMMA_LAYER = LLAMA_LAYER | {
    "post_attention_layernorm": "attention_post_norm",
    "pre_feedforward_layernorm": "mlp_norm",
    "post_feedforward_layernorm": "mlp_post_norm",
}
GPT2_LAYER = {
    "ln_1": "attention_norm",
    "ln_2": "mlp_norm",
    "attn.q": "attention.q",
    "attn.k": "attention.k",
    "attn.v": "attention.v",
    "attn.c_proj": "attention.out",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
GPT2_TOP = {"wte": "embedding", "wpe": "positions", "ln_f": "norm"}

_OWN_LAYERS = re.compile(r"blocks\.(\d+)\.(.+)")
_LLAMA_LAYERS, _GPT2_LAYERS = re.compile(r"model\.layers\.(\d+)\.(.+)"), re.compile(r"h\.(\d+)\.(.+)")
ARCHITECTURES = {
    "homespun": Architecture(_own, _OWN_LAYERS, {}, {}),  # any shape, under our own names
    "gpt2": Architecture(_gpt2, _GPT2_LAYERS, GPT2_LAYER, GPT2_TOP, _gpt2_adapt),
    "llama": Architecture(_llama, _LLAMA_LAYERS, LLAMA_LAYER, LLAMA_TOP, _llama_adapt),
    "mistral": Architecture(_mistral, _LLAMA_LAYERS, LLAMA_LAYER, LLAMA_TOP, _llama_adapt),
    "qwen2": Architecture(_qwen2, _LLAMA_LAYERS, LLAMA_LAYER, LLAMA_TOP),
    "qwen3": Architecture(_qwen3, _LLAMA_LAYERS, LLAMA_LAYER, LLAMA_TOP),
    "gemma3_text": Architecture(_gemma3, _LLAMA_LAYERS, GEMMA_LAYER, LLAMA_TOP, _gemma_adapt),
}


def to_hugging_face(config: GPTConfig, *, end_token: int, pad_token: int, dtype: str) -> dict[str, Any]:
    """A `config.json` with which transformers, llama.cpp and this engine open a Qwen3-shaped model.

    Raises:
        ValueError: the shape is not Qwen3's.
    """
    if (config.norm, config.mlp, config.position, config.qk_norm) != ("rms", "swiglu", "rope", True):
        raise ValueError("Only Qwen3-shaped models are written to a model folder.")
    return {
        "format_version": 1,
        "task": "chat",
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": config.vocab_size,
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
        "use_sliding_window": False,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": None,
        "eos_token_id": end_token,
        "pad_token_id": pad_token,
        "torch_dtype": dtype,
        "initializer_range": 0.02,
        "use_cache": True,
    }
