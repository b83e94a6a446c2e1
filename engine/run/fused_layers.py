"""The decoder's layers for running: the same numbers in as few, as large steps as there are.

With one token at a time a small model spends most of its time between the multiplications: every operator called costs
a microsecond. So projections of the same input are one, and rows of all texts lie in one matrix. Plain classes and no
modules: a module's calls and lookups add up. `decoder/layers.py` has the layers one reads and trains, and
`fused_attention.py` attention; which weights end up here, and laid out how, is `fuse.py` and `linear.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from engine.decoder.kv_cache import LayerCache
from engine.decoder.layers import GELU, Block, Rope, SwiGLU
from engine.files.stored import Stored
from engine.run.compiled.linear import CompiledLinear
from engine.run.fused_attention import FusedAttention
from engine.run.joined import join, of
from engine.run.linear import Precision
from engine.run.linear_half import PackedLinear, RowsLinear
from engine.run.mean_free import MeanFree
from engine.run.quick_norms import quick_norm


class FusedBlock:
    """`Block` out of fused layers."""

    def __init__(self, plain: Block, dtype: torch.dtype, precision: Precision, stream: MeanFree | None = None) -> None:
        if stream is not None:
            plain = stream.block(plain)
        self.attention_norm = quick_norm(plain.attention_norm, dtype)
        self.mlp_norm = quick_norm(plain.mlp_norm, dtype)
        self.attention = FusedAttention(plain.attention, dtype, precision)
        make = FusedGELU if isinstance(plain.mlp, GELU) else FusedGate
        self.mlp = make(plain.mlp, dtype, precision)  # type: ignore[arg-type]
        self._post = not isinstance(plain.mlp_post_norm, nn.Identity)
        self.attention_post_norm = quick_norm(plain.attention_post_norm, dtype)
        self.mlp_post_norm = quick_norm(plain.mlp_post_norm, dtype)

    def __call__(
        self, x: Tensor, batch: int, rope: Rope | Tensor | None, cache: LayerCache | None, mask: Tensor | None
    ) -> Tensor:
        """[N, C] → [N, C], written over `x`; its rows are `batch` texts of equal length, one after the other."""
        y = self.attention(self.attention_norm(x), batch, rope, cache, mask)
        if self._post:
            x = x.add_(self.attention_post_norm(self.attention.out(y)))
            return x.add_(self.mlp_post_norm(self.mlp.down(self.mlp(self.mlp_norm(x)))))
        x = self.attention.out.add_to(x, y)
        return self.mlp.down.add_to(x, self.mlp(self.mlp_norm(x)))


class FusedGate:
    """`SwiGLU` or `GeGLU` with one projection in, up to `down`, which the block adds to its rows."""

    def __init__(self, plain: SwiGLU, dtype: torch.dtype, precision: Precision) -> None:
        self.gate_up, self.down = (
            join(dtype, precision, *of(plain.gate, plain.up)),
            join(dtype, precision, *of(plain.down)),
        )
        self.linears = self.gate_up, self.down
        self.activate, self._halves = plain.activate, (plain.down.weight.shape[1],) * 2

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C] → what `down` takes."""
        gate, up = self.gate_up(x).split_with_sizes(self._halves, 1)  # a third of what `chunk` takes
        return self.activate(gate).mul_(up)


class FusedGELU:
    """`GELU` or `ReLUSquared` with weights laid out for their precision, up to `down`."""

    def __init__(self, plain: GELU, dtype: torch.dtype, precision: Precision) -> None:
        self.up, self.down = join(dtype, precision, *of(plain.up)), join(dtype, precision, *of(plain.down))
        self.activate: Callable[[Tensor], Tensor] | None = plain.activate
        if isinstance(self.up, CompiledLinear | PackedLinear | RowsLinear) and type(plain) is GELU:
            self.up, self.activate = self.up.with_gelu(), None
        self.linears = self.up, self.down

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C] → what `down` takes."""
        inner = self.up(x)
        return inner if self.activate is None else self.activate(inner)


class RowLookup:
    """An embedding whose table stays in its mapped file: a token touches one row, and only that row is read."""

    def __init__(self, table: Stored, dtype: torch.dtype) -> None:
        # Asking a file for its tensor takes 40 µs; what comes back is a view of the mapped file, and can be kept.
        self.whole = table.read_rows is None
        self.table = table.read() if self.whole else None
        self._rows = partial(torch.embedding, self.table) if self.table is not None else table.rows
        self._dtype = dtype

    def __call__(self, tokens: Tensor) -> Tensor:
        return self._rows(tokens).to(self._dtype)
