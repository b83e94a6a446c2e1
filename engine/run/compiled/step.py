"""CompiledStep: what `token.py` must be told about a model, and the way to have it read tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.decoder.kv_cache import FOLD, KVCache
from engine.run.bags import KEPT, has_bags
from engine.run.compiled.host import lanes, target
from engine.run.compiled.linear import LEAST, TILE, CompiledLinear, rows_product
from engine.run.compiled.machine import READ, machine
from engine.run.fused_layers import FusedGELU
from engine.run.linear_base import Linear
from engine.run.linear_half import RowsLinear
from engine.run.quick_norms import FullRMSNorm, HalfRMSNorm, QuickLayerNorm

if TYPE_CHECKING:
    from engine.run.fuse import FusedGPT

GATES = {"gelu": 0, "swiglu": 1, "geglu": 2}  # as `token.py` numbers them


class CompiledStep:
    """Reads up to TILE tokens of one text with `model`, in one call of compiled code.

    Raises:
        ValueError: the model is none for it: see `fits`.
    """

    def __init__(self, model: FusedGPT) -> None:
        if not self.fits(model):
            raise ValueError("This model has layers that compiled code does not know.")
        config = model.config
        self._model, self._width, self._vocabulary = model, config.d_model, config.vocab_size
        heads = config.n_head + 2 * config.n_kv_head
        inner = (2 if GATES[config.mlp] else 1) * config.d_ff
        widest = max(config.d_model, config.d_ff, config.n_head * config.head_dim)
        attention = model.blocks[0].attention
        self._room = -(-config.context_length // FOLD) * FOLD + 4 * lanes(target())  # scores, and a strip's end
        self._kept: list[Any] = []  # what addresses lead to
        self._stream = self._floats(TILE * config.d_model)
        head_eps = attention.norms[0].eps if attention.norms is not None else 0.0
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
            self._stream.data_ptr(),
            self._floats(TILE * widest).data_ptr(),
            self._floats(TILE * widest // 4).data_ptr(),
            self._floats(TILE * 3 * (widest // 32)).data_ptr(),
            self._floats(TILE * heads * config.head_dim).data_ptr(),
            self._floats(TILE * config.n_head * config.head_dim).data_ptr(),
            self._floats(TILE * inner).data_ptr(),
            self._floats(torch.get_num_threads() * self._room).data_ptr(),
            4 * self._room,
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
        self._padded = -(-self._vocabulary // lanes(target())) * lanes(target())

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
            and model.stream is None
            and has_bags()
            and all(isinstance(layer, CompiledLinear | RowsLinear) for layer in layers)
            and all(isinstance(norm, FullRMSNorm | HalfRMSNorm | QuickLayerNorm) for norm in norms)
            and all(block.mlp.activate is None for block in model.blocks if isinstance(block.mlp, FusedGELU))
        )

    def __call__(self, token: int, cache: KVCache) -> Tensor:
        """Read one more token; returns the logits [vocabulary] behind it."""
        return self.few([token], cache)[0]

    def few(self, tokens: list[int], cache: KVCache) -> Tensor:
        """Read up to TILE tokens behind what `cache` holds; returns the logits [tokens, vocabulary] behind each."""
        count, length, kept = len(tokens), cache.length, cache.tensor
        rows = self._model.embed(torch.tensor([tokens]), slice(length, length + count))
        self._stream[: count * self._width].view(count, -1).copy_(rows)
        logits = torch.empty(count, self._padded)
        room = kept.shape[3]
        machine().do(
            READ, self._numbers.ctypes.data, count, length, kept.data_ptr(), room, logits.data_ptr(), 4 * self._padded, 0
        )
        cache.took(count)
        return logits.narrow(1, 0, self._vocabulary)

    def takes(self, cache: KVCache, count: int) -> bool:
        """Whether `few` can read so many tokens into `cache`."""
        fits = cache.folded and cache.tensor.dtype == KEPT and cache.tensor.shape[1] == 1
        return fits and count <= TILE and cache.length + count <= cache.tensor.shape[3]

    def _floats(self, count: int) -> Tensor:
        self._kept.append(room := torch.zeros(count + 16))
        return room[:count]

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
            return layer.product.tolist()  # type: ignore[no-any-return]
        assert isinstance(layer, RowsLinear)
        return rows_product(layer).tolist()  # type: ignore[no-any-return]


_KEPT: list[np.ndarray] = []  # what helpers may still look at when they come late: see `linear.py`


def _bits(number: float) -> int:
    """An fp32 number's bits."""
    return int(np.float32(number).view(np.uint32))
