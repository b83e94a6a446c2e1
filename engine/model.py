"""GPT: the one decoder of the house. Token ids in, logits out.

Owns the wiring of embeddings, blocks and head. Loading weights is `weights.py`, choosing tokens is `sampler.py`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config import GPTConfig
from engine.kv_cache import KVCache
from engine.layers import Block, make_norm, rope_tables


class GPT(nn.Module):
    """Decoder-only transformer of shape `config`. Weights start as nothing in particular: see `init_weights`."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.fused, self.counted = False, 0  # see fuse.py
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        learned = config.position == "learned"
        self.positions = nn.Embedding(config.context_length, config.d_model) if learned else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = make_norm(config, config.d_model)
        self.head: nn.Module | None = (
            None if config.tie_embeddings else nn.Linear(config.d_model, config.vocab_size, bias=False)
        )
        if not learned:
            self.make_rope()

    def make_rope(self, device: torch.device | str | None = None) -> None:
        """(Re)make the rotary tables on `device`: buffers that are computed, never stored with the weights."""
        cos, sin = rope_tables(self.config, torch.device(device) if device else None)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def hidden(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Ids [B, T] → the last layer's normed output [B, T, C]. With a cache, the T tokens follow what it holds."""
        start = cache.length if cache is not None else 0
        end = start + tokens.shape[1]
        x = self.embedding(tokens)
        rope = None
        if self.positions is not None:
            x = x + self.positions.weight[start:end]
        else:
            rope = (self.cos[start:end], self.sin[start:end])
        for index, block in enumerate(self.blocks):
            x = block(x, rope, cache.layers[index] if cache is not None else None)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., C] → [..., vocabulary]."""
        return F.linear(hidden, self.embedding.weight) if self.head is None else self.head(hidden)

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Ids [B, T] → logits [B, T, vocabulary]."""
        return self.logits(self.hidden(tokens, cache))

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.weight.dtype

    def parameter_count(self) -> int:
        """Parameters, tied ones counted once."""
        return self.counted or sum(p.numel() for p in self.parameters())


@torch.no_grad()
def init_weights(model: GPT, generator: torch.Generator | None = None) -> None:
    """Normal(0, 0.02) everywhere, projections into the residual stream scaled by 1/√(2·layers) (GPT-2's recipe)."""
    residual = 0.02 / math.sqrt(2 * model.config.n_layer)
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            into_stream = name.endswith(("attention.out.weight", "mlp.down.weight"))
            parameter.normal_(0.0, residual if into_stream else 0.02, generator=generator)
