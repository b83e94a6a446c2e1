"""The keys of a GGUF file that describe a decoder's shape, as llama.cpp reads them.

llama.cpp takes from its code what other formats write down: what a family never does cannot be said, and is refused.
"""

from __future__ import annotations

import math
from typing import Any

from engine.decoder.config import GPTConfig
from training.export.families import ExportError, Family

GEMMA_PATTERN = 6  # five local layers, then a global one


def describe(config: GPTConfig, family: Family, notes: list[str]) -> dict[str, Any]:
    """Keys and values for `config`; what a person should know is added to `notes`.

    Raises:
        ExportError: llama.cpp's layers of this family compute something else.
    """
    _check(config, family)
    context = config.context_length
    if family.gguf == "llama" and config.local_layers and config.window < context:
        context = config.window
        notes.append(
            f"The context is written as {context:,} tokens, the width of this model's window: llama.cpp gives all "
            "layers of this family the whole context, and within the window that is the same."
        )
    keys: dict[str, Any] = {
        "context_length": context,
        "embedding_length": config.d_model,
        "block_count": config.n_layer,
        "feed_forward_length": config.d_ff,
        "attention.head_count": config.n_head,
        "vocab_size": config.vocab_size,
    }
    if family.gguf == "gpt2":
        keys["attention.layer_norm_epsilon"] = float(config.norm_eps)
    else:
        keys |= {
            "attention.head_count_kv": config.n_kv_head,
            "attention.key_length": config.head_dim,
            "attention.value_length": config.head_dim,
            "attention.layer_norm_rms_epsilon": float(config.norm_eps),
            "rope.dimension_count": config.head_dim,
            "rope.freq_base": float(config.rope_theta),
        }
        keys |= _linear(config)
    if family.gguf == "gemma3" and config.local_layers:
        keys["attention.sliding_window"] = config.window
    return {f"{family.gguf}.{key}": value for key, value in keys.items()}


def _linear(config: GPTConfig) -> dict[str, Any]:
    if config.rope_divisors and len(set(config.rope_divisors)) == 1 and config.rope_divisors[0] != 1.0:
        return {"rope.scaling.type": "linear", "rope.scaling.factor": float(config.rope_divisors[0])}
    return {}


def rope_factors(config: GPTConfig) -> tuple[float, ...] | None:
    """What each frequency is divided by, where that is not the same for all (Llama 3's scaling)."""
    return config.rope_divisors if len(set(config.rope_divisors)) > 1 else None


def _check(config: GPTConfig, family: Family) -> None:
    """Everything that this family's code in llama.cpp takes for granted."""
    gemma, llama = family.gguf == "gemma3", family.gguf == "llama"
    usual = config.head_dim**-0.5
    if gemma and config.n_layer == 62:
        usual = (config.d_model / config.n_head) ** -0.5
    scale = config.attention_scale or config.head_dim**-0.5
    windows = config.local_layers
    pattern = tuple((layer + 1) % GEMMA_PATTERN != 0 for layer in range(config.n_layer))
    checks = (
        (config.rope_magnitude == 1.0, "its positions are scaled as YaRN does"),
        (rope_factors(config) is None or llama, "each frequency of its positions is scaled by its own factor"),
        (math.isclose(scale, usual, rel_tol=1e-4), "its attention is scaled in its own way"),
        (config.mlp_bias is False or family.gguf in ("gpt2", "llama"), "its feed-forward has biases"),
        (family.gguf != "qwen3" or not config.attention_bias, "its attention has biases"),
        (not windows or llama or (gemma and windows == pattern), "which of its layers see a window only"),
        (not gemma or math.isclose(config.embedding_scale, config.d_model**0.5, rel_tol=1e-4), "its embedding's scale"),
        (not gemma or config.local_rope_theta in (0.0, 10_000.0), "its local layers' base of the positions"),
    )
    for ok, what in checks:
        if not ok:
            raise ExportError(
                f"llama.cpp cannot run this model: {what}, which its {family.gguf} does not know. It stays usable here "
                "and in transformers (--to hf)."
            )
