"""KVCache: the keys and values of the tokens read so far, in memory allocated once.

Owns the tensors and the count of valid positions. It knows nothing of tokens or prompts.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

from engine.decoder.config import GPTConfig


class LayerCache:
    """One layer's keys and values, each [B, K, capacity, D]: views of the tensor that `KVCache` has for all layers."""

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v
        self.length = 0
        self.ready: tuple[Tensor, Tensor, Tensor, Tensor] | None = None  # see `KVCache.one_more`

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, K, T, D] behind what is there; returns everything so far, [B, K, S, D] each."""
        if self.ready is not None:
            (k_place, v_place, k_all, v_all), self.ready = self.ready, None
            k_place.copy_(k)
            v_place.copy_(v)
            self.length += 1
            return k_all, v_all
        start, count = self.length, k.shape[2]
        self.k.narrow(2, start, count).copy_(k)
        self.v.narrow(2, start, count).copy_(v)
        self.length = start + count
        return self.k.narrow(2, 0, self.length), self.v.narrow(2, 0, self.length)


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
        shape = (2 * config.n_layer, batch, config.n_kv_head, self.capacity, config.head_dim)  # k, v, k, v, …
        self.tensor = torch.zeros(shape, device=device, dtype=dtype)
        parts = self.tensor.unbind(0)
        self.layers = [LayerCache(k, v) for k, v in zip(parts[::2], parts[1::2], strict=True)]

    @property
    def length(self) -> int:
        return self.layers[0].length

    @property
    def bytes(self) -> int:
        """Memory that the keys and values take, used or not."""
        return self.tensor.nbytes

    def one_more(self) -> None:
        """Have ready what every layer's next `append`, of one token, needs.

        Cutting tensors costs a microsecond each time; here they are cut for all layers at once.
        """
        cut = self.cut(self.tensor, self.length)
        for number, layer in enumerate(self.layers):
            layer.ready = cut[4 * number : 4 * number + 4]  # type: ignore[assignment]

    @staticmethod
    def cut(kept: Tensor, length: int) -> tuple[Tensor, ...]:
        """Of each layer where the next token's key and value go, [B, K, 1, D], and all keys and values with them.

        `kept` is a cache's tensor, and holds `length` tokens.
        """
        places, filled = kept.narrow(3, length, 1).unbind(0), kept.narrow(3, 0, length + 1).unbind(0)
        both = zip(places[::2], places[1::2], filled[::2], filled[1::2], strict=True)
        return tuple(chain.from_iterable(both))

    def took_one(self) -> None:
        """What was put behind the last token is one from now on."""
        for layer in self.layers:
            layer.length += 1

    def copy_beginning(self, other: KVCache, length: int) -> None:
        """Hold the first `length` tokens of `other`, and nothing else."""
        self.truncate(length)
        self.tensor[:, :, :, :length] = other.tensor[:, :, :, :length]
        for layer in self.layers:
            layer.length = length

    def keep(self, rows: Tensor) -> None:
        """Go on with the batch's `rows` [new batch], int64, in this order; a row may come several times."""
        self._move(self.tensor[:, rows])

    def truncate(self, length: int) -> None:
        """Forget everything from position `length` on, so that a common prefix can be used again."""
        for layer in self.layers:
            layer.length, layer.ready = min(layer.length, length), None  # of a token that failed midway, too

    def reserve(self, capacity: int) -> None:
        """Have room for `capacity` tokens, keeping what is there; never gives room back."""
        if capacity <= self.capacity:
            return
        self.capacity = capacity
        new = self.tensor.new_zeros(*self.tensor.shape[:3], capacity, self.tensor.shape[4])
        new[:, :, :, : self.length] = self.tensor[:, :, :, : self.length]
        self._move(new)

    def _move(self, tensor: Tensor) -> None:
        """Have everything in `tensor` from now on."""
        self.tensor = tensor
        for layer, k, v in zip(self.layers, *(tensor.unbind(0)[part::2] for part in (0, 1)), strict=True):
            layer.k, layer.v = k, v
