"""CompiledStep: what `code/tokens.py` must be told about a model, and the way to have it read tokens."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from engine.decoder.kv_cache import COMPACT, KVCache
from engine.run.compiled.host import lanes, target
from engine.run.compiled.linear import LEAST, CompiledLinear, rows_product
from engine.run.compiled.machine import machine
from engine.run.compiled.places import BOTH_WAYS, POCKET, READ, STREAM, THREADS, TILE
from engine.run.fused_layers import FusedGELU, RowLookup
from engine.run.linear_base import Linear
from engine.run.linear_half import RowsLinear
from engine.run.quick_norms import FullRMSNorm, HalfRMSNorm, QuickLayerNorm
from engine.run.rounding import GROUP

if TYPE_CHECKING:
    from engine.run.fuse import FusedGPT

MOST = 256  # tokens read at once
ROOMS = STREAM // 8  # where the rooms begin for what lies between
GATES = {"gelu": 0, "swiglu": 1, "geglu": 2}  # as `code/activations.py` numbers them


class CompiledStep:
    """Reads tokens of one text with `model`, up to MOST in one call of compiled code.

    Raises:
        ValueError: the model is none for it: see `fits`.
    """

    def __init__(self, model: FusedGPT) -> None:
        if not self.fits(model):
            raise ValueError("This model has layers that compiled code does not know.")
        config = model.config
        self._model, self._config = model, config
        attention = model.blocks[0].attention
        head_eps = attention.norms[0].eps if attention.norms is not None else 0.0
        group, pairs = config.n_head // config.n_kv_head, config.head_dim % (2 * lanes(target())) == 0
        self._rows, self._threads = 0, 0  # that there is room for
        self._kept: list[Tensor] = []  # what addresses lead to
        numbers = [
            config.n_layer,
            config.d_model,
            config.d_ff,
            config.n_head,
            config.n_kv_head,
            config.head_dim,
            int(config.norm == "layer"),
            GATES[config.mlp],
            *map(_bits, (config.norm_eps, head_eps, attention.scale)),
            self._address(model.rotations),
            *[0] * len(self._rooms(0)),
            *self._table(),
            int(group > 1 and config.n_kv_head * -(-group // 4) >= torch.get_num_threads() and pairs),
            0,
            0,
            *self._norm(model.norm),
            *self._product(model.head),
        ]
        for block in model.blocks:
            attention = block.attention
            for layer in (*attention.linears, *block.mlp.linears):
                numbers += self._product(layer)
            numbers += [*self._norm(block.attention_norm), *self._norm(block.mlp_norm)]
            numbers.append(self._address(attention.norms[0].weight if attention.norms is not None else None))
        self._numbers = np.array(numbers, np.int64)
        _KEPT.append(self._numbers)
        self._padded = -(-config.vocab_size // lanes(target())) * lanes(target())
        self._one = Lock()  # one text at a time: what lies between has room for one
        self._cache: KVCache | None = None  # of `hidden`

    def _rooms(self, rows: int) -> list[int]:
        """How many fp32 numbers the rooms take for `rows` tokens, in the order of their places; a score row's bytes."""
        config, threads = self._config, self._threads
        widest = max(config.d_model, config.d_ff, config.n_head * config.head_dim)
        scores = -(-config.context_length // COMPACT) * COMPACT + 4 * lanes(target())  # and a strip's end
        each = (
            config.d_model,
            widest,
            widest // 2,  # rounded: bf16 at most
            3 * (widest // GROUP),
            (config.n_head + 2 * config.n_kv_head) * config.head_dim,
            config.n_head * config.head_dim,
            (2 if GATES[config.mlp] else 1) * config.d_ff,
        )
        return [*(rows * numbers for numbers in each), threads * (POCKET // 4 + 4 * scores), 4 * scores]

    def _table(self) -> list[int]:
        """Where tokens are found, and the embedding's table, its bits, the positions' and what it is multiplied by."""
        self._tokens = np.zeros(MOST, np.int64)
        embedding, positions = self._model.embedding, self._model.positions
        table = embedding.table if isinstance(embedding, RowLookup) else None
        bits = {torch.bfloat16: 16, torch.float32: 32}.get(table.dtype, 0) if table is not None else 0
        self._embeds = table is None or bits == 0 or not table.is_contiguous()
        if table is None or self._embeds:
            return [0] * 5
        self._kept.append(table)
        scale = _bits(self._config.embedding_scale)
        return [self._tokens.ctypes.data, table.data_ptr(), bits, self._address(positions), scale]

    def _make_room(self, rows: int) -> None:
        """Have room for `rows` tokens, in whole tiles, and for as many threads as there are."""
        threads = torch.get_num_threads()
        if rows <= self._rows and threads <= self._threads:
            return
        self._rows, self._threads = max(-(-rows // TILE) * TILE, self._rows), max(threads, self._threads)
        *sizes, row = self._rooms(self._rows)
        self._between = [torch.zeros(size + 16) for size in sizes]
        self._numbers[ROOMS : ROOMS + len(sizes)] = [room.data_ptr() for room in self._between]
        self._numbers[ROOMS + len(sizes)] = row
        self._numbers[THREADS // 8] = self._threads

    @staticmethod
    def fits(model: FusedGPT) -> bool:
        """Whether compiled code knows all that `model` has, and this processor has compiled code."""
        config = model.config
        widths = (config.d_model, config.d_ff, config.n_head * config.head_dim)
        layers: list[Linear] = [model.head]
        for block in model.blocks:
            layers += [*block.attention.linears, *block.mlp.linears]
        norms = [model.norm, *(norm for block in model.blocks for norm in (block.attention_norm, block.mlp_norm))]
        return (
            bool(target())
            and model.device.type == "cpu"
            and config.mlp in GATES
            and not config.post_norms
            and not any(config.local_layers)
            and all(width % LEAST == 0 for width in widths)
            and config.head_dim % lanes(target()) == 0
            and config.head_dim <= 512
            and model.stream is None
            and all(isinstance(layer, CompiledLinear | RowsLinear) for layer in layers)
            and all(isinstance(norm, FullRMSNorm | HalfRMSNorm | QuickLayerNorm) for norm in norms)
            and all(block.mlp.activate is None for block in model.blocks if isinstance(block.mlp, FusedGELU))
        )

    def __call__(self, token: int, cache: KVCache) -> Tensor:
        """Read one more token; returns the logits [vocabulary] behind it."""
        return self.read([token], cache, 1)[0]

    def read(self, tokens: list[int], cache: KVCache, wanted: int) -> Tensor:
        """Read up to MOST tokens behind what `cache` holds; returns the logits [wanted, vocabulary] behind the last."""
        logits = torch.empty(wanted, self._padded)
        with self._one:
            self._read(tokens, cache, logits)
        cache.took(len(tokens))
        return logits.narrow(1, 0, self._config.vocab_size)

    def hidden(self, tokens: Sequence[int], *, both_ways: bool) -> Tensor:
        """What the last layer says of up to MOST tokens of one text, normed: [T, C], as `FusedGPT.hidden`.

        `both_ways`: they see what comes behind them, too.
        """
        with self._one:
            if self._cache is None:
                self._cache = self._model.new_cache(min(MOST, self._config.context_length))
            self._numbers[BOTH_WAYS // 8] = int(both_ways)
            try:
                self._read(tokens, self._cache, torch.empty(0, self._padded))
            finally:
                self._numbers[BOTH_WAYS // 8] = 0
            width = self._config.d_model
            stream = self._between[0][: len(tokens) * width].view(-1, width)
            return self._model.leave(stream.to(self._model.dtype))  # compiled code's stream is fp32 in any precision

    def _read(self, tokens: Sequence[int], cache: KVCache, logits: Tensor) -> None:
        """Read `tokens` behind what `cache` holds. What the last layer wrote stands in the stream then, and the logits
        behind the last tokens in `logits` [wanted, padded vocabulary]."""
        count, length, kept = len(tokens), cache.length, cache.tensor
        self._make_room(count)
        if self._embeds:  # from a table that compiled code cannot read
            rows = self._model.embed(torch.tensor([list(tokens)]), slice(length, length + count))
            self._between[0][: rows.numel()].view(rows.shape).copy_(rows)
        else:
            self._tokens[:count] = tokens
        places = kept.data_ptr(), kept.shape[3], logits.data_ptr(), 4 * self._padded
        machine().do(READ, self._numbers.ctypes.data, count, length, *places, len(logits))

    def takes(self, cache: KVCache, count: int) -> bool:
        """Whether `read` can read so many tokens into `cache`, in pieces of MOST.

        Nothing behind here looks where a table ends, and a cache is filled up to whole blocks.
        """
        room = min(cache.capacity, self._config.context_length)
        return cache.compact and cache.tensor.shape[1] == 1 and cache.length + count <= room

    def _address(self, numbers: Tensor | None) -> int:
        """Of `numbers` in fp32; 0 for none."""
        if numbers is None:
            return 0
        self._kept.append(numbers := numbers.detach().float().contiguous())
        return numbers.data_ptr()

    def _norm(self, norm: nn.Module | FullRMSNorm | HalfRMSNorm | QuickLayerNorm) -> tuple[int, int]:
        return self._address(norm.weight), self._address(getattr(norm, "bias", None))  # type: ignore[arg-type]

    def _product(self, layer: Linear) -> list[int]:
        if isinstance(layer, CompiledLinear):
            return layer.product.tolist()
        assert isinstance(layer, RowsLinear)
        return rows_product(layer).tolist()


_KEPT: list[np.ndarray] = []  # what helpers may still look at when they come late: see `linear.py`


def _bits(number: float) -> int:
    """An fp32 number's bits."""
    return int(np.float32(number).view(np.uint32))
