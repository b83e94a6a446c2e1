"""Decoding by a recording on the CPU: a token's hundreds of operators called by TorchScript instead of by Python.

With small models Python takes as long between two operators as the operators themselves. The recording is made once,
in some 50 ms and without a compiler, of the same code that runs without it; its steps are the same and so are its
numbers. What changes from token to token is its input: the token, the cache and how much of it is filled. CUDA has
`graphs.py`.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from engine.decoder.kv_cache import KVCache
from engine.run.bags import AttentionBags, attention_bags
from engine.run.compiled.linear import CompiledLinear
from engine.run.compiled.step import CompiledStep
from engine.run.fuse import Decoder, FusedGPT
from engine.run.processor import without_onednn


class _Places:
    """A layer's cache for one token, whose places have been cut before."""

    def __init__(self, cut: tuple[Tensor, ...], bags: AttentionBags | None) -> None:
        self._places, self._all = cut[:2], cut[2:]
        self.folded, self.bags = bags is not None, bags

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As `LayerCache.append`."""
        for place, new in zip(self._places, (k, v), strict=True):
            place.copy_(new)
        k_all, v_all = self._all
        return k_all, v_all


class _Step(nn.Module):
    """All blocks and the head of `model` for one token: what is recorded.

    A module, because a recording keeps packed weights as what belongs to a module only, not as constants.
    """

    def __init__(self, model: FusedGPT) -> None:
        super().__init__()
        self._call = (model,)  # no module of its own, and not to be looked through
        for number, packed in enumerate(model.packed_weights()):
            keep = self.register_buffer if isinstance(packed, Tensor) else self.__setattr__
            keep(f"packed_{number}", packed)

    def forward(self, token: Tensor, kept: Tensor, length: Tensor, *bags: Tensor) -> Tensor:
        """Its id [1, 1], or its row [1, C] where that cannot be recorded, and a cache's tensor that holds `length` [].

        With a folded cache, also the tensors of its bags for one token. Returns logits [1, vocabulary].
        """
        (model,) = self._call
        where = slice(length, length + 1)
        x = token if token.is_floating_point() else model.embed(token, where)
        rope, _ = model.turns(where)  # none is local: `fits`
        # Tensors where numbers belong: they are recorded.
        sums = AttentionBags(*bags, start=0, count=length + 1) if bags else None  # type: ignore[misc, arg-type]
        places = KVCache.cut(kept, length, bool(bags))  # type: ignore[arg-type]
        for number, block in enumerate(model.blocks):
            one = _Places(places[4 * number : 4 * number + 4], sums)
            x = block(x, 1, rope, one, None)  # type: ignore[arg-type]
        return model.logits(model.leave(x))


class TracedDecode:
    """`generate_steps.decode` for one model, by a recording made here.

    Raises:
        RuntimeError: this torch cannot record that model.
    """

    def __init__(self, model: FusedGPT) -> None:
        self._model = model
        self._token, self._length = torch.zeros(1, 1, dtype=torch.int64), torch.tensor(0)
        cache = model.new_cache(2)
        with torch.inference_mode(), warnings.catch_warnings():
            # That Python's decisions become constants is meant, and so is that TorchScript is used while it is there.
            warnings.simplefilter("ignore")
            example = self._inputs(0, cache)
            self._step = torch.jit.trace(_Step(model).eval(), example, check_trace=False)

    @staticmethod
    def fits(model: FusedGPT) -> bool:
        """Whether `model` can be recorded: with sliding windows, steps depend on how much has been read, and
        of compiled code a recording would see nothing."""
        compiled = any(isinstance(layer, CompiledLinear) for layer in (*model.blocks[0].attention.linears, model.head))
        return model.device.type == "cpu" and not any(model.config.local_layers) and not compiled

    def _inputs(self, token: int, cache: KVCache) -> tuple[Tensor, ...]:
        length, model = cache.length, self._model
        said = self._token.fill_(token)
        if not model.embedding.whole:
            said = model.embed(said, slice(length, length + 1))
        bags: tuple[Tensor, ...] = ()
        if cache.folded:
            config = model.config
            heads, group = config.n_head, config.n_head // config.n_kv_head
            bags = attention_bags(heads, group, 1, config.head_dim, cache.tensor.shape[3], 0, length + 1).tensors
        return said, cache.tensor, self._length.fill_(length), *bags

    def __call__(self, token: int, cache: KVCache) -> Tensor:
        """Read one more token; returns the logits [vocabulary] behind it."""
        optimize = torch._C._get_graph_executor_optimize()
        torch._C._set_graph_executor_optimize(False)  # which would take a tenth of a second at first and gain nothing
        try:
            with without_onednn:
                logits = self._step(*self._inputs(token, cache))
        finally:
            torch._C._set_graph_executor_optimize(optimize)
        cache.took(1)
        return logits[0]


def record(model: Decoder) -> bool:
    """Decode by a recording from now on, where that can be; returns whether it is so."""
    if isinstance(model, FusedGPT) and isinstance(model.step, CompiledStep):
        return False  # which needs none
    if not isinstance(model, FusedGPT) or not TracedDecode.fits(model):
        return False
    try:
        model.step = TracedDecode(model)
    except Exception:  # noqa: BLE001 - TorchScript will go from torch one day; whatever it says, all works without
        return False
    return True
