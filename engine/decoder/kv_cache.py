"""KVCache: the keys and values of the tokens read so far, in memory allocated once.

Owns the tensors and the count of valid positions. It knows nothing of tokens or prompts.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor

from engine.decoder.config import GPTConfig

COMPACT = 64  # positions in a block of a compact cache
FOLD = 256  # positions whose keys lie transposed, as a block, in a folded cache


def room_for(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Memory for keys and values. On a CPU it holds anything: nothing is looked at but what was stored, and filling it
    would take as long as reading 15 tokens. CUDA's recordings look at more, and hide it."""
    return (torch.empty if device.type == "cpu" else torch.zeros)(shape, device=device, dtype=dtype)


class LayerCache:
    """One layer's keys and values, each [B, K, capacity, D]: views of the tensor that `KVCache` has for all layers."""

    folded = False
    bags = None  # see `traced.py`

    def __init__(self, k: Tensor, v: Tensor) -> None:
        self.k, self.v = k, v
        self.length = 0
        self.ready: tuple[Tensor, Tensor, Tensor, Tensor] | None = None  # see `KVCache.one_more`

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, K, T, D] behind what is there; returns everything so far, [B, K, S, D] each."""
        if self.ready is not None:
            return self._append_one(k, v)
        start, count = self.length, k.shape[2]
        self.k.narrow(2, start, count).copy_(k)
        self.v.narrow(2, start, count).copy_(v)
        self.length = start + count
        return self.everything()

    def everything(self) -> tuple[Tensor, Tensor]:
        """Keys and values so far, [B, K, S, D]."""
        return self.k.narrow(2, 0, self.length), self.v.narrow(2, 0, self.length)

    def _append_one(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        assert self.ready is not None
        (k_place, v_place, k_all, v_all), self.ready = self.ready, None
        k_place.copy_(k)
        v_place.copy_(v)
        self.length += 1
        return k_all, v_all


class FoldedLayerCache(LayerCache):
    """The same with the keys of each FOLD positions transposed, [D, FOLD], for `bags.py`."""

    folded = True

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store [B, K, T, D] behind what is there; returns two tables, of all there is room for.

        Keys are [B·K·capacity/FOLD·D, FOLD], a row for each number of a head in a block of positions; values are
        [B·K·capacity, D], a row for each position of a head.
        """
        if self.ready is not None:
            return self._append_one(k, v)
        blocks, done, count = self._blocks(), 0, k.shape[2]
        while done < count:
            block, place = divmod(self.length + done, FOLD)
            some = min(FOLD - place, count - done)
            blocks[:, :, block, :, place : place + some] = k[:, :, done : done + some].transpose(2, 3)
            done += some
        self.v.narrow(2, self.length, count).copy_(v)
        self.length += count
        return self.k.view(-1, FOLD), self.v.view(-1, self.v.shape[3])

    def everything(self) -> tuple[Tensor, Tensor]:
        """Keys and values so far, [B, K, S, D], as copies in fp32; the keys are still transposed in memory.

        Turning blocks around takes three times as long, and torch widens 16 bits by sixteens, but not from one kind of
        them to another.
        """
        blocks = self._blocks()[:, :, : -(-self.length // FOLD)]
        k = blocks.transpose(2, 3).flatten(3).float()  # [B, K, D, …]
        return k.narrow(3, 0, self.length).transpose(2, 3), self.v.narrow(2, 0, self.length).float()

    def _blocks(self) -> Tensor:
        """The keys as they lie: [B, K, capacity/FOLD, D, FOLD]."""
        batch, heads, _, head_dim = self.k.shape
        return self.k.view(batch, heads, -1, head_dim, FOLD)


class CompactLayerCache(LayerCache):
    """The same in 8 bits, as compiled code reads them; keys and values [B, K, capacity, D + 4], int8.

    COMPACT positions of a head are a block: D·COMPACT bytes and COMPACT fp32, each what a step of that position's is
    worth. A byte is the number of steps and 128. Of keys, four numbers are followed by the next position's:
    [D/4, COMPACT, 4]; of values, one number of two positions: [COMPACT/2, D, 2].
    """

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As `LayerCache.append`; what comes back is fp32, and copied."""
        count = k.shape[2]
        where = torch.arange(self.length, self.length + count)
        block, place = where // COMPACT, where % COMPACT
        for kept, new, keys in ((self.k, k, True), (self.v, v, False)):
            step = (new.float().abs().amax(-1) / 127).clamp(min=1e-20)
            levels = (new.float() / step[..., None]).round_().add_(128).to(torch.uint8)
            numbers, steps = self._blocks(kept, keys)
            steps[:, :, block, place] = step
            if keys:
                numbers[:, :, block, :, place] = levels.unflatten(-1, (-1, 4)).permute(2, 0, 1, 3, 4)
            else:
                numbers[:, :, block, place // 2, :, place % 2] = levels.permute(2, 0, 1, 3)
        self.length += count
        return self.everything()

    def everything(self) -> tuple[Tensor, Tensor]:
        whole = -(-self.length // COMPACT)
        found = []
        for kept, keys in ((self.k, True), (self.v, False)):
            numbers, steps = (part[:, :, :whole] for part in self._blocks(kept, keys))
            levels = numbers.transpose(3, 4).flatten(4) if keys else numbers.transpose(4, 5).flatten(3, 4)
            levels = levels.flatten(2, 3)[:, :, : self.length]
            found.append((levels.float() - 128) * steps.flatten(2)[:, :, : self.length, None])
        return found[0], found[1]

    @staticmethod
    def _blocks(kept: Tensor, keys: bool) -> tuple[Tensor, Tensor]:
        """Views of numbers, uint8 [B, K, blocks, …], and steps, fp32 [B, K, blocks, COMPACT]."""
        head_dim = kept.shape[3] - 4
        blocks = kept.view(torch.uint8).flatten(2).unflatten(2, (-1, COMPACT * (head_dim + 4)))
        numbers, steps = blocks.split((COMPACT * head_dim, 4 * COMPACT), -1)
        return numbers.unflatten(-1, (-1, COMPACT, 4) if keys else (COMPACT // 2, -1, 2)), steps.view(torch.float32)


class KVCache:
    """The whole decoder's cache, for `capacity` tokens. `length` is how many it holds.

    Args:
        folded: have keys lie as `FoldedLayerCache` wants them.
        compact: have all lie as `CompactLayerCache` does; `dtype` is int8 then.
    """

    def __init__(
        self,
        config: GPTConfig,
        *,
        capacity: int | None = None,
        batch: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        folded: bool = False,
        compact: bool = False,
    ) -> None:
        self.capacity, self.folded, self.compact = capacity or config.context_length, folded, compact
        whole, each = self._whole(self.capacity), config.head_dim + (4 if compact else 0)
        shape = (2 * config.n_layer, batch, config.n_kv_head, whole, each)  # k, v, k, v, …
        self.tensor = room_for(shape, torch.device(device), torch.int8 if compact else dtype)
        parts = self.tensor.unbind(0)
        make = FoldedLayerCache if folded else CompactLayerCache if compact else LayerCache
        self.layers = [make(k, v) for k, v in zip(parts[::2], parts[1::2], strict=True)]

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
        if self.compact:
            return
        cut = self.cut(self.tensor, self.length, self.folded)
        for number, layer in enumerate(self.layers):
            layer.ready = cut[4 * number : 4 * number + 4]  # type: ignore[assignment]

    @staticmethod
    def cut(kept: Tensor, length: int, folded: bool) -> tuple[Tensor, ...]:
        """Of each layer where the next token's key and value go, [B, K, 1, D], and what `append` returns with them.

        `kept` is a cache's tensor, and holds `length` tokens.
        """
        places = kept.narrow(3, length, 1).unbind(0)
        if folded:
            # [L, B, K, capacity/FOLD, D, FOLD]: what lies in one piece may be cut another way.
            blocks = kept[::2].flatten(3).unflatten(3, (-1, kept.shape[4], FOLD))
            k_places = blocks.select(3, length // FOLD).narrow(4, length % FOLD, 1).transpose(3, 4).unbind(0)
            k_all, v_all = kept[::2].flatten(1).unflatten(1, (-1, FOLD)), kept[1::2].flatten(1, 3)
            both = zip(k_places, places[1::2], k_all.unbind(0), v_all.unbind(0), strict=True)
        else:
            filled = kept.narrow(3, 0, length + 1).unbind(0)
            both = zip(places[::2], places[1::2], filled[::2], filled[1::2], strict=True)
        return tuple(chain.from_iterable(both))

    def took(self, count: int) -> None:
        """What was put behind the last token are `count` more from now on."""
        for layer in self.layers:
            layer.length += count

    def copy_beginning(self, other: KVCache, length: int) -> None:
        """Hold the first `length` tokens of `other`, and nothing else."""
        self.truncate(length)
        whole = self._whole(length)
        self.tensor[:, :, :, :whole] = other.tensor[:, :, :, :whole]
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
        shape = (*self.tensor.shape[:3], self._whole(capacity), self.tensor.shape[4])
        new = room_for(shape, self.tensor.device, self.tensor.dtype)
        whole = self._whole(self.length)
        new[:, :, :, :whole] = self.tensor[:, :, :, :whole]
        self._move(new)

    def _whole(self, positions: int) -> int:
        """As many positions as whole blocks have; a block is one piece of memory, and moves as that."""
        block = FOLD if self.folded else COMPACT if self.compact else 1
        return -(-positions // block) * block

    def _move(self, tensor: Tensor) -> None:
        """Have everything in `tensor` from now on."""
        self.tensor = tensor
        for layer, k, v in zip(self.layers, *(tensor.unbind(0)[part::2] for part in (0, 1)), strict=True):
            layer.k, layer.v = k, v
