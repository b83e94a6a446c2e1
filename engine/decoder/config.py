"""GPTConfig: the shape of a decoder as data.

Owns the differences between architectures: each is a field here that the layers read, so nothing in the engine asks
what a model is called. Which fields a file sets is `architectures.py` (Hugging Face) and `gguf_file.py` (GGUF).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    post_norms: bool = False  # norms behind attention and feed-forward too, before they join the stream (Gemma)
    mlp: Literal["swiglu", "geglu", "gelu", "relu2"] = "swiglu"
    position: Literal["rope", "learned"] = "rope"
    rope_theta: float = 10_000.0
    rope_divisors: tuple[float, ...] = ()  # scaled RoPE: each of the D/2 frequencies is divided by its own number
    rope_magnitude: float = 1.0  # cosines and sines times this (YaRN)
    local_layers: tuple[bool, ...] = ()  # which layers look at the last `window` tokens only; empty: none
    window: int = 0  # tokens a local layer sees, the newest included
    local_rope_theta: float = 0.0  # local layers' own base, never scaled; 0: the same tables as the others
    qk_norm: bool = True  # RMSNorm on each head's query and key, as Qwen3 has it
    attention_scale: float = 0.0  # what q·k is multiplied by; 0: 1/√head_dim
    attention_bias: bool = False
    output_bias: bool = False  # on attention's output projection
    mlp_bias: bool = False
    embedding_scale: float = 1.0  # embeddings times this (Gemma: √d_model)
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        sizes = (self.vocab_size, self.context_length, self.n_layer, self.d_model, self.d_ff, self.n_kv_head)
        checks = (
            (all(isinstance(size, int) and 1 <= size < 2**31 for size in sizes), "sizes"),
            (self.n_layer <= 1000, "n_layer above 1,000"),
            (self.n_head % self.n_kv_head == 0, "n_head must be a multiple of n_kv_head"),
            (self.head_dim >= 2 and self.head_dim % 2 == 0, "head_dim must be even"),
            (self.rope_theta > 0 and self.norm_eps > 0, "rope_theta and norm_eps must be above 0"),
            (len(self.rope_divisors) in (0, self.head_dim // 2), "one rope divisor a frequency"),
            (all(divisor > 0 for divisor in self.rope_divisors), "rope divisors must be above 0"),
            (len(self.local_layers) in (0, self.n_layer), "local_layers must name every layer"),
            (not any(self.local_layers) or self.window >= 1, "a local layer needs a window"),
        )
        for ok, what in checks:
            if not ok:
                raise ValueError(f"A model cannot have this shape: {what}")

    def window_of(self, layer: int) -> int:
        """Tokens that layer `layer` sees; 0 for all of them."""
        return self.window if self.local_layers and self.local_layers[layer] else 0
