"""GPTConfig: the shape of a decoder as data, and its translation from and to Hugging Face's config.json.

Owns the differences between architectures. Nothing else in the engine asks what a model is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import ModelFolderError


@dataclass(frozen=True)
class GPTConfig:
    """A decoder-only transformer. The defaults are the house's own Qwen3-shaped family."""

    vocab_size: int = 8192
    context_length: int = 1024  # longest sequence the positions were made for, in tokens
    n_layer: int = 6
    n_head: int = 6  # query heads
    n_kv_head: int = 2  # key and value heads; each serves n_head / n_kv_head query heads (GQA)
    head_dim: int = 64
    d_model: int = 384  # width of the residual stream
    d_ff: int = 1024  # width inside the feed-forward block
    norm: Literal["rms", "layer"] = "rms"
    norm_eps: float = 1e-6
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    qk_norm: bool = True  # RMSNorm on each head's query and key, as Qwen3 has it
    attention_bias: bool = False
    output_bias: bool = False  # on attention's output projection
    mlp_bias: bool = False
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        checks = (
            (min(self.vocab_size, self.context_length, self.n_layer, self.d_model, self.d_ff) >= 1, "sizes"),
            (
                self.n_kv_head >= 1 and self.n_head % self.n_kv_head == 0,
                "n_head must be a multiple of n_kv_head",
            ),
            (self.head_dim >= 2 and self.head_dim % 2 == 0, "head_dim must be even"),
        )
        for ok, what in checks:
            if not ok:
                raise ValueError(f"A model cannot have this shape: {what}.")


def from_hugging_face(data: dict[str, Any]) -> GPTConfig:
    """The config in a `config.json`.

    Raises:
        ModelFolderError: an architecture or a variant of one that this engine does not have.
    """
    kind = data.get("model_type")
    try:
        if kind == "qwen3":
            return _from_qwen3(data)
        if kind == "gpt2":
            return _from_gpt2(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"This model's config.json does not describe a model: {error}.") from error
    raise ModelFolderError(f"This engine cannot open models of type {kind!r}; it knows qwen3 and gpt2.")


def _from_qwen3(data: dict[str, Any]) -> GPTConfig:
    rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default" or data.get("use_sliding_window"):
        raise ModelFolderError("This model uses scaled RoPE or sliding-window attention, which this engine lacks.")
    if data.get("hidden_act", "silu") != "silu":
        raise ModelFolderError(f"This engine lacks the activation {data['hidden_act']!r}.")
    return GPTConfig(
        vocab_size=data["vocab_size"],
        context_length=data["max_position_embeddings"],
        n_layer=data["num_hidden_layers"],
        n_head=data["num_attention_heads"],
        n_kv_head=data["num_key_value_heads"],
        head_dim=data.get("head_dim") or data["hidden_size"] // data["num_attention_heads"],
        d_model=data["hidden_size"],
        d_ff=data["intermediate_size"],
        norm_eps=data.get("rms_norm_eps", 1e-6),
        rope_theta=float(data.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
        attention_bias=bool(data.get("attention_bias", False)),
        output_bias=bool(data.get("attention_bias", False)),
        tie_embeddings=bool(data.get("tie_word_embeddings", False)),
    )


def _from_gpt2(data: dict[str, Any]) -> GPTConfig:
    if data.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        raise ModelFolderError(f"This engine lacks the activation {data['activation_function']!r}.")
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
