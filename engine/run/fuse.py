"""FusedGPT: a decoder for running. It says what `GPT` says, up to the rounding of its precision, in fewer steps.

It cannot be trained, saved or looked into: its weights are joined, reordered and rounded. The layers are
`fused_layers.py`; loading a model from files straight into this form, never twice in memory, is `weights.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import KVCache
from engine.decoder.layers import Rope
from engine.decoder.model import GPT, Watch
from engine.decoder.view import View
from engine.files.stored import Stored
from engine.run.bags import has_bags
from engine.run.compiled.linear import compiles
from engine.run.compiled.step import CompiledStep
from engine.run.fused_layers import FusedBlock, RowLookup
from engine.run.linear import Precision, make_linear
from engine.run.linear_base import NARROW
from engine.run.linear_half import has_half
from engine.run.mean_free import MeanFree
from engine.run.processor import has_amx, has_bf16
from engine.run.quick_norms import quick_norm

LARGE_CACHE = 2**18  # numbers in a layer's full cache from which the sums of `bags.py` win over what calling them costs


class FusedGPT:
    """Fused `blocks`, and what is before and behind them taken from `plain`, whose own blocks are not looked at.

    Args:
        embedding: the embedding's table; on a CPU it stays in its file.
        count: parameters of the plain model.
        stream: what the blocks read and write, if not the embedding's numbers as they are.
    """

    def __init__(
        self,
        plain: GPT,
        blocks: list[FusedBlock],
        embedding: Stored,
        dtype: torch.dtype,
        precision: Precision,
        count: int,
        stream: MeanFree | None = None,
    ) -> None:
        self.config, self.dtype, self.precision, self.blocks = plain.config, dtype, precision, blocks
        self._count = count
        self.stream = stream
        numbers = self.config.n_kv_head * self.config.head_dim * self.config.context_length
        self._large = numbers >= LARGE_CACHE and self.config.n_head > 1  # one bag alone is slow
        self.step: Callable[[int, KVCache], Tensor] | None = None  # a quicker way to read one token: see graphs.py
        self.device: torch.device = plain.norm.weight.device  # type: ignore[assignment]
        self.norm = quick_norm(plain.norm, dtype)
        self.positions = plain.positions.weight.detach().to(dtype) if plain.positions is not None else None
        on_cpu = self.device.type == "cpu"
        self.embedding = RowLookup(embedding, dtype) if on_cpu else plain.embedding
        table = embedding.read() if on_cpu else plain.embedding.weight.detach()
        head = plain.head if isinstance(plain.head, nn.Linear) else None
        matrix = head.weight.detach() if head is not None else table
        # Rounding the head costs the most, and int8 is as quick there as int4, or quicker.
        rounded: Precision = "int8" if precision == "int4" else precision
        self.head = make_linear(
            matrix, bias=head.bias if head is not None else None, dtype=dtype, precision=rounded, within=precision
        )
        self._rope = self._local_rope = None
        if self.positions is None:
            self._rope = _factors(plain.cos, plain.sin)
            local = bool(self.config.local_rope_theta)
            self._local_rope = _factors(plain.local_cos, plain.local_sin) if local else self._rope
        if precision != "fp32" and CompiledStep.fits(self):
            self.step = CompiledStep(self)

    def hidden(
        self, tokens: Tensor, cache: KVCache | None = None, view: View | None = None, watch: Watch | None = None
    ) -> Tensor:
        """Ids [B, T] → the last layer's normed output [B, T, C], as `GPT.hidden`; to `watch` rows are one matrix."""
        start = cache.length if cache is not None else 0
        batch, length = tokens.shape
        where: slice | Tensor = slice(start, start + length) if view is None else view.positions
        x, (rope, local_rope) = self.embed(tokens, where), self.turns(where)
        if length == 1 and cache is not None:
            cache.one_more()
        mask = view.mask if view is not None else None
        for index, block in enumerate(self.blocks):
            turned = local_rope if self.config.window_of(index) else rope
            if watch is not None:
                watch(index, x, turned)
            x = block(x, batch, turned, cache.layers[index] if cache is not None else None, mask)
        return self.leave(x).view(batch, length, -1)

    def embed(self, tokens: Tensor, where: slice | Tensor) -> Tensor:
        """Ids [B, T] at positions `where` → what the first layer reads, [B·T, C]."""
        x = self.embedding(tokens)
        if self.config.embedding_scale != 1:
            x = x * self.config.embedding_scale
        if self.positions is not None:
            x = x + self.positions[where]
        x = x.view(tokens.numel(), -1)
        return x if self.stream is None else self.stream.into(x)

    def turns(self, where: slice | Tensor) -> tuple[Rope | Tensor | None, Rope | Tensor | None]:
        """RoPE's factors at positions `where`, and the local layers'."""
        return _at(self._rope, where), _at(self._local_rope, where)

    def leave(self, x: Tensor) -> Tensor:
        """What the last layer wrote, normed: [N, C]."""
        return self.norm(x if self.stream is None else self.stream.back(x))

    @property
    def rotations(self) -> Tensor | None:
        """RoPE's cosines and sines in turn, [context, D/2, 2]; None without RoPE."""
        return torch.view_as_real(self._rope) if isinstance(self._rope, Tensor) else None

    def packed_weights(self) -> list[Any]:
        """What layers multiply one row by that lies in an order of oneDNN's (tensors) or FBGEMM's (its objects)."""
        layers = [layer for block in self.blocks for layer in (*block.attention.linears, *block.mlp.linears)]
        return [packed for layer in (*layers, self.head) for packed in layer.packed]

    def new_cache(self, capacity: int | None = None, batch: int = 1) -> KVCache:
        """An empty cache, of the kind in which one more token is quick.

        On a CPU that is fp16 in `bags.py`'s order, or for small models fp32, as one query over bf16 takes `F.sdpa` five
        times as long there, except with AMX.
        """
        if batch == 1 and isinstance(self.step, CompiledStep):
            return KVCache(self.config, capacity=capacity, device=self.device, compact=True)
        folded = self._large and self.precision != "fp32" and self.device.type == "cpu" and has_bags()
        if self.device.type != "cpu":
            dtype = self.dtype
        elif folded:
            dtype = torch.float16
        else:
            dtype = torch.bfloat16 if self.precision != "fp32" and has_amx() else torch.float32
        return KVCache(self.config, capacity=capacity, batch=batch, device=self.device, dtype=dtype, folded=folded)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., C] → [..., vocabulary], fp32."""
        rows = self.head(hidden.reshape(-1, hidden.shape[-1])).float()
        return rows.view(*hidden.shape[:-1], rows.shape[-1])

    def __call__(self, tokens: Tensor, cache: KVCache | None = None, view: View | None = None) -> Tensor:
        """Ids [B, T] → logits [B, T, vocabulary]."""
        return self.logits(self.hidden(tokens, cache, view))

    def parameter_count(self) -> int:
        """Parameters of the plain model, tied ones counted once."""
        return self._count


Decoder = GPT | FusedGPT


def fuse(model: Decoder, precision: Precision | None = None) -> FusedGPT:
    """A filled `model` for running, in its own precision where that is None; a fused one comes back as it is."""
    if isinstance(model, FusedGPT):
        return model
    precision = precision or ("bf16" if model.dtype == torch.bfloat16 else "fp32")
    dtype = activations(model.config.d_model, model.dtype, precision, model.device)
    stream = mean_free(model.config, dtype, precision, model.device)
    blocks = [FusedBlock(block, dtype, precision, stream) for block in model.blocks]  # type: ignore[arg-type]
    table = model.embedding.weight.detach()
    embedding = Stored(tuple(table.shape), lambda: table)
    return FusedGPT(model, blocks, embedding, dtype, precision, model.parameter_count(), stream)


def activations(width: int, dtype: torch.dtype, precision: Precision, device: torch.device) -> torch.dtype:
    """What is kept between the layers: `dtype`, but around int8 fp32, which is all that its kernel takes and gives.

    Around a narrow CPU model's bf16 layers, too: what is between them takes fewer steps so.
    """
    narrow, half = width < NARROW, device.type == "cpu" and has_half() and has_bf16()
    compiled = precision == "int4" and compiles(precision)
    exact = precision == "int8" or compiled or (narrow and (precision == "int4" or (precision == "bf16" and half)))
    return torch.float32 if exact else dtype


def mean_free(config: GPTConfig, dtype: torch.dtype, precision: Precision, device: torch.device) -> MeanFree | None:
    """The stream of a narrow CPU model in a rounded precision, whose operators count more than its multiplications."""
    exact = precision == "fp32" or dtype != torch.float32 or device.type != "cpu"
    if exact or compiles(precision) or config.norm != "rms" or config.post_norms or config.d_model >= NARROW:
        return None
    return MeanFree(config.d_model)


def _factors(cos: Tensor, sin: Tensor) -> Rope | Tensor:
    """The tables as `turn` wants them: on a CPU complex factors [context, D/2], elsewhere as they are."""
    if cos.device.type != "cpu":
        return cos, sin
    half = cos.shape[1] // 2
    return torch.complex(cos[:, :half].contiguous(), sin[:, :half].contiguous())


def _at(rope: Rope | Tensor | None, where: slice | Tensor) -> Rope | Tensor | None:
    """Their rows at positions `where`, with a dimension for the heads."""
    if rope is None:
        return None
    if isinstance(rope, Tensor):
        return rope[where].unsqueeze(-2)
    return rope[0][where].unsqueeze(-2), rope[1][where].unsqueeze(-2)
