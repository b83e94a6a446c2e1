"""KVCache: the keys and values of the tokens read so far, in memory allocated once.

Owns the tensors and the count of valid positions. It knows nothing of tokens or prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.decoder.config import GPTConfig


class LayerCache:
    """One layer's keys and values. Separate tensors a layer: slices of them are cheap views."""

    def __init__(self, batch: int, config: GPTConfig, capacity: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (batch, config.n_kv_head, capacity, config.head_dim)
        self.k = torch.zeros(shape, device=device, dtype=dtype)
        self.v = torch.zeros(shape, device=device, dtype=dtype)
        self.length = 0

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, K, T, D] behind what is there; returns everything so far, [B, K, S, D] each."""
        start, count = self.length, k.shape[2]
        self.k.narrow(2, start, count).copy_(k)
        self.v.narrow(2, start, count).copy_(v)
        self.length = start + count
        return self.k.narrow(2, 0, self.length), self.v.narrow(2, 0, self.length)

    def reserve(self, capacity: int) -> None:
        """Move to tensors that hold `capacity` tokens."""
        for name in ("k", "v"):
            old: Tensor = getattr(self, name)
            new = old.new_zeros(*old.shape[:2], capacity, old.shape[3])
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)


class KVCache:
    """The whole decoder's cache, for `capacity` tokens. `length` is how many it holds."""

    def __init__(
        self,
        config: GPTConfig,
        *,
        capacity: int | None = None,
        batch: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.capacity = capacity or config.context_length
        self.layers = [
            LayerCache(batch, config, self.capacity, torch.device(device), dtype) for _ in range(config.n_layer)
        ]

    @property
    def length(self) -> int:
        return self.layers[0].length

    @property
    def bytes(self) -> int:
        """Memory that the keys and values take, used or not."""
        return sum(layer.k.nbytes + layer.v.nbytes for layer in self.layers)

    def copy_beginning(self, other: KVCache, length: int) -> None:
        """Hold the first `length` tokens of `other`, and nothing else."""
        self.truncate(0)
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.append(theirs.k[:, :, :length], theirs.v[:, :, :length])

    def keep(self, rows: Tensor) -> None:
        """Go on with the batch's `rows` [new batch], int64, in this order; a row may come several times."""
        for layer in self.layers:
            layer.k, layer.v = layer.k[rows], layer.v[rows]

    def truncate(self, length: int) -> None:
        """Forget everything from position `length` on, so that a common prefix can be used again."""
        for layer in self.layers:
            layer.length = min(layer.length, length)

    def reserve(self, capacity: int) -> None:
        """Have room for `capacity` tokens, keeping what is there; never gives room back."""
        if capacity <= self.capacity:
            return
        self.capacity = capacity
        for layer in self.layers:
            layer.reserve(capacity)
