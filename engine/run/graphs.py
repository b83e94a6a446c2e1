"""Decoding by CUDA graphs: a token's hundreds of kernels recorded once and launched as one.

A recording has fixed shapes and addresses. So the step here writes keys and values at a position that is a number on
the GPU, and attention looks at a fixed number of positions, those not yet there being masked; there is one recording
for each cache and each 256 positions. It is used when asked for (`--compile`) and where there is CUDA.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from engine.decoder.kv_cache import KVCache, LayerCache
from engine.decoder.view import View
from engine.run.fuse import Decoder, FusedGPT

STEP = 256  # positions a recording is for, or a multiple
MOST = 16  # recordings kept; the oldest goes first


class FixedLayer:
    """A layer's cache that is written at `position` and read up to `size`, whatever it holds."""

    folded = False

    def __init__(self, layer: LayerCache, position: Tensor, size: int) -> None:
        self._k, self._v, self._position, self._size = layer.k, layer.v, position, size

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """As `LayerCache.append`, for one token."""
        self._k.index_copy_(2, self._position, k.to(self._k.dtype))
        self._v.index_copy_(2, self._position, v.to(self._v.dtype))
        return self._k.narrow(2, 0, self._size), self._v.narrow(2, 0, self._size)


class FixedStep:
    """One token through `model`, with every shape fixed: logits [vocabulary] behind it."""

    length = 0  # as a cache's; a view says what the positions are

    def __init__(self, model: FusedGPT, cache: KVCache, size: int) -> None:
        device = model.device
        self._model = model
        self._token = torch.zeros(1, 1, dtype=torch.int64, device=device)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self._all = torch.arange(size, device=device)
        self.layers = [FixedLayer(layer, self._position, size) for layer in cache.layers]

    def one_more(self) -> None:
        """As `KVCache.one_more`; here places are numbers on the GPU."""

    def set(self, token: int, position: int) -> None:
        """What the next `run` reads."""
        self._token.fill_(token)
        self._position.fill_(position)

    def run(self) -> Tensor:
        view = View(self._position[None], (self._all <= self._position)[None, None, None])
        return self._model(self._token, self, view)[0, -1]  # type: ignore[arg-type]


class GraphedDecode:
    """`generate_steps.decode` for one model, by recordings.

    Args:
        record: makes a function that repeats a step, for tests; None is a CUDA graph.
    """

    def __init__(self, model: FusedGPT, record: Callable[[FixedStep], Callable[[], Tensor]] | None = None) -> None:
        self._model, self._record = model, record or _cuda_graph
        self._recorded: dict[tuple[int, int], tuple[FixedStep, Callable[[], Tensor]]] = {}

    @staticmethod
    def fits(model: FusedGPT) -> bool:
        """Whether `model` can be run so: layers that look at a window of positions cannot."""
        return not any(model.config.local_layers)

    def __call__(self, token: int, cache: KVCache) -> Tensor:
        """Read one more token; the logits are overwritten by the next call."""
        size = min(-(-(cache.length + 1) // STEP) * STEP, cache.capacity)
        key = (cache.layers[0].k.data_ptr(), size)
        if key not in self._recorded:
            step = FixedStep(self._model, cache, size)
            step.set(token, cache.length)
            self._recorded[key] = (step, self._record(step))
            while len(self._recorded) > MOST:
                del self._recorded[next(iter(self._recorded))]
        step, replay = self._recorded[key]
        step.set(token, cache.length)
        logits = replay()
        for layer in cache.layers:
            layer.length += 1
        return logits


def _cuda_graph(step: FixedStep) -> Callable[[], Tensor]:
    """Record `step`, after the few ordinary runs that kernels want before they are recorded."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step.run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = step.run()

    def replay() -> Tensor:
        graph.replay()
        return logits

    return replay


def speed_up(model: Decoder) -> str:
    """Decode by CUDA graphs from now on, where that can be; what the status line says about it."""
    if not isinstance(model, FusedGPT) or model.device.type != "cuda":
        return "no CUDA graphs without CUDA"
    if not GraphedDecode.fits(model):
        return "no CUDA graphs for sliding windows"
    model.step = GraphedDecode(model)
    return "CUDA graphs"
