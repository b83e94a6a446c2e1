"""GPT: the one decoder of the house. Token ids in, logits out.

Owns the wiring of embeddings, blocks and head. Loading weights is `weights.py`, choosing tokens is `sampler.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import KVCache
from engine.decoder.layers import Block, Embedding, Linear, Rope, make_norm
from engine.decoder.rope import rope_tables
from engine.decoder.view import View

Watch = Callable[[int, Tensor, Any], None]


class GPT(nn.Module):
    """Decoder-only transformer of shape `config`. Weights start as nothing in particular: see `init_weights`."""

    cos: Tensor
    sin: Tensor
    local_cos: Tensor
    local_sin: Tensor

    def __init__(self, config: GPTConfig, *, tables: bool = True) -> None:
        """With `tables` False the rotary tables are left to a later `make_rope`."""
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.d_model)
        learned = config.position == "learned"
        self.positions = Embedding(config.context_length, config.d_model) if learned else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = make_norm(config, config.d_model)
        self.head: nn.Module | None = (
            None if config.tie_embeddings else Linear(config.d_model, config.vocab_size, bias=False)
        )
        if tables and not learned:
            self.make_rope()

    def make_rope(self, device: torch.device | str | None = None) -> None:
        """(Re)make the rotary tables on `device`: buffers that are computed, never stored with the weights."""
        where = torch.device(device) if device else None
        for prefix, local in (("", False), ("local_", True)):
            if not local or self.config.local_rope_theta:
                cos, sin = rope_tables(self.config, local=local, device=where)
                self.register_buffer(f"{prefix}cos", cos, persistent=False)
                self.register_buffer(f"{prefix}sin", sin, persistent=False)

    def hidden(
        self, tokens: Tensor, cache: KVCache | None = None, view: View | None = None, watch: Watch | None = None
    ) -> Tensor:
        """Ids [B, T] → the last layer's normed output [B, T, C]. With a cache, the T tokens follow what it holds.

        `view` is for padded and packed rows; without one, tokens stand one after the other and see what is before them.
        `watch` is called before each layer, with its number, what goes into it and the positions' turns.
        """
        start = cache.length if cache is not None else 0
        end = start + tokens.shape[1]
        x = self.embedding(tokens)
        if self.config.embedding_scale != 1:
            x = x * self.config.embedding_scale
        where: slice | Tensor = slice(start, end) if view is None else view.positions
        rope = local_rope = None
        if self.positions is not None:
            x = x + self.positions.weight[where]
        else:
            rope = local_rope = _rows(where, self.cos, self.sin)
            if self.config.local_rope_theta:
                local_rope = _rows(where, self.local_cos, self.local_sin)
        mask = view.mask if view is not None else None
        for index, block in enumerate(self.blocks):
            turned = local_rope if self.config.window_of(index) else rope
            if watch is not None:
                watch(index, x, turned)
            x = block(x, turned, cache.layers[index] if cache is not None else None, mask)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., C] → [..., vocabulary]."""
        return F.linear(hidden, self.embedding.weight) if self.head is None else self.head(hidden)

    def forward(self, tokens: Tensor, cache: KVCache | None = None, view: View | None = None) -> Tensor:
        """Ids [B, T] → logits [B, T, vocabulary]."""
        return self.logits(self.hidden(tokens, cache, view))

    @property
    def device(self) -> torch.device:
        return self.norm.weight.device  # type: ignore[return-value]

    @property
    def dtype(self) -> torch.dtype:
        return self.norm.weight.dtype  # type: ignore[return-value]

    def parameter_count(self) -> int:
        """Parameters, tied ones counted once."""
        return sum(p.numel() for p in self.parameters())


def _rows(where: slice | Tensor, cos: Tensor, sin: Tensor) -> Rope:
    """The tables' rows for positions `where`; [B, T] ones get a dimension for the heads."""
    if isinstance(where, slice):
        return cos[where], sin[where]
    return cos[where].unsqueeze(1), sin[where].unsqueeze(1)


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
