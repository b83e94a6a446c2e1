"""`prefill` and `decode` as plain functions of a model and its cache."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from engine.decoder.kv_cache import KVCache
from engine.run.compiled.step import MOST, CompiledStep
from engine.run.fuse import Decoder, FusedGPT
from engine.run.processor import has_amx

# Tokens read between two looks at whether the reply is still wanted. On a CPU, more than 256 (with AMX, 512) at once
# are slower again: half of what attention computes for a chunk is hidden from it.
SMALLEST_CHUNK, LARGEST_CHUNK, LARGEST_CPU_CHUNK = 128, 2048, 256
CHUNK_SECONDS = 0.03  # a chunk that took less than this is followed by a larger one
SMALL = 128_000_000  # parameters up to which the largest chunk is read at once, 0.15 s on two cores; with AMX, twice


SMALLEST_COMPILED, SLOW_SECONDS = 32, 0.3  # compiled: a chunk that took longer is followed by one of half its tokens


def _never() -> bool:
    return False


def new_cache(model: Decoder, capacity: int | None = None, batch: int = 1) -> KVCache:
    """An empty cache for `model`, with room for its context if nothing else is said."""
    if isinstance(model, FusedGPT):
        return model.new_cache(capacity, batch)
    dtype = torch.float32 if model.device.type == "cpu" else model.dtype
    return KVCache(model.config, capacity=capacity, batch=batch, device=model.device, dtype=dtype)


@torch.inference_mode()
def prefill(model: Decoder, tokens: list[int], cache: KVCache, cancelled: Callable[[], bool] = _never) -> Tensor | None:
    """Read `tokens` (one at least) into `cache`; returns the logits [vocabulary] behind the last, None if cancelled."""
    on_cpu, tiles = model.device.type == "cpu", 2 if has_amx() else 1
    largest = tiles * LARGEST_CPU_CHUNK if on_cpu else LARGEST_CHUNK
    step = model.step if isinstance(model, FusedGPT) else None
    if isinstance(step, CompiledStep) and step.takes(cache, len(tokens)):
        return _read_compiled(step, tokens, cache, cancelled)
    hidden, start = torch.empty(0), 0
    size = largest if model.parameter_count() <= tiles * SMALL else SMALLEST_CHUNK
    while start < len(tokens):
        if cancelled():
            return None
        began = time.perf_counter()
        chunk = torch.tensor([tokens[start : start + size]], device=model.device)
        hidden = model.hidden(chunk, cache)[:, -1]
        start += size
        if time.perf_counter() - began < CHUNK_SECONDS:
            size = min(2 * size, largest)
    return model.logits(hidden)[0]


def _read_compiled(
    step: CompiledStep, tokens: list[int], cache: KVCache, cancelled: Callable[[], bool]
) -> Tensor | None:
    """`prefill` by compiled code; a chunk becomes shorter when it took long, so that cancelling is heard soon."""
    size, logits, start = MOST, None, 0
    while start < len(tokens):
        if cancelled():
            return None
        began, chunk = time.perf_counter(), tokens[start : start + size]
        start += size
        logits = step.read(chunk, cache, int(start >= len(tokens)))
        if time.perf_counter() - began > SLOW_SECONDS:
            size = max(SMALLEST_COMPILED, size // 2)
    return logits[0] if logits is not None else None


@torch.inference_mode()
def decode(model: Decoder, token: int, cache: KVCache) -> Tensor:
    """Read one more token; returns the logits [vocabulary] behind it."""
    step = model.step if isinstance(model, FusedGPT) else None
    if step is not None and (not isinstance(step, CompiledStep) or step.takes(cache, 1)):
        return step(token, cache)
    return model(torch.tensor([[token]], device=model.device), cache)[0, -1]


@torch.inference_mode()
def read_few(model: Decoder, tokens: list[int], cache: KVCache) -> Tensor:
    """Read a few more tokens (see FEW); returns the logits [tokens, vocabulary] behind each."""
    step = model.step if isinstance(model, FusedGPT) else None
    if isinstance(step, CompiledStep) and step.takes(cache, len(tokens)):
        return step.read(tokens, cache, len(tokens))
    return model(torch.tensor([tokens], device=model.device), cache)[0]
