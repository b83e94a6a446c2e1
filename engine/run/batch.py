"""Many replies at once: several prompts, or several samples of one, decoded together.

Reading the weights is what a token costs, and rows of a batch share it. Prompts of different lengths are padded on the
left (view.py); rows that have ended leave the batch. One reply as it is made is `generate.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.decoder.kv_cache import KVCache
from engine.decoder.view import padded
from engine.protocol import FinishReason, SamplingParams
from engine.run.fuse import Decoder
from engine.run.generate_steps import SMALLEST_CHUNK, new_cache
from engine.run.sampler import Seen, sample


@dataclass
class Row:
    """One reply: the tokens it has so far, without the one that ended it."""

    index: int
    prompt: list[int]
    random: torch.Generator
    tokens: list[int] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    reason: FinishReason | None = None


def _never(*_: int) -> bool:
    return False


@torch.inference_mode()
def generate_batch(
    model: Decoder,
    prompts: list[list[int]],
    params: SamplingParams,
    end_tokens: frozenset[int],
    *,
    samples: int = 1,
    seed: int = 0,
    cancelled: Callable[[], bool] = _never,
    stopped: Callable[[int, int], bool] = _never,
) -> list[Row]:
    """`samples` replies to each of `prompts` (all of them fit the context), in this order.

    Row i draws its random numbers from `seed` + i, so a reply does not depend on its neighbours but for the rounding of
    kernels that multiply several rows. `cancelled` is asked before every token; `stopped` is told each (row, token) and
    says whether a stop string has come.
    """
    rows = [
        Row(index, prompt, torch.Generator().manual_seed(seed + index))
        for index, prompt in enumerate(prompt for prompt in prompts for _ in range(samples))
    ]
    if not rows:
        return []
    width = max(map(len, prompts))
    padding = torch.tensor([width - len(prompt) for prompt in prompts], device=model.device)
    cache = new_cache(model, width + params.max_tokens, len(prompts))
    logits = _read(model, prompts, padding, cache)
    each = torch.arange(len(prompts), device=model.device).repeat_interleave(samples)
    if samples > 1:
        cache.keep(each)
        logits, padding = logits[each], padding[each]
    alive = list(rows)
    while alive:
        stop = cancelled()
        for row, scores in zip(alive, logits, strict=True):
            row.reason = "cancelled" if stop else _choose(model, row, scores, params, end_tokens)
            if row.reason != "cancelled" and row.reason != "stop" and stopped(row.index, row.tokens[-1]):
                row.reason = "stop"
        going = [index for index, row in enumerate(alive) if row.reason is None]
        if not going:
            break
        if len(going) < len(alive):
            kept = torch.tensor(going, device=model.device)
            cache.keep(kept)
            alive, padding = [alive[index] for index in going], padding[kept]
        tokens = torch.tensor([[row.tokens[-1]] for row in alive], device=model.device)
        logits = model(tokens, cache, padded(padding, cache.length, 1))[:, -1]
    return rows


def _read(model: Decoder, prompts: list[list[int]], padding: Tensor, cache: KVCache) -> Tensor:
    """Read all prompts into `cache`; the logits [B, vocabulary] behind them."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=model.device)
    hidden = torch.empty(0)
    for start in range(0, width, SMALLEST_CHUNK):
        chunk = tokens[:, start : start + SMALLEST_CHUNK]
        hidden = model.hidden(chunk, cache, padded(padding, start, chunk.shape[1]))[:, -1]
    return model.logits(hidden)


def _choose(
    model: Decoder, row: Row, logits: Tensor, params: SamplingParams, end_tokens: frozenset[int]
) -> FinishReason | None:
    """Give `row` its next token, or say why it has ended."""
    token = sample(logits, params, row.seen, row.random)
    if token in end_tokens:
        return "stop"
    row.tokens.append(token)
    row.seen.add(token)
    full = len(row.prompt) + len(row.tokens) >= model.config.context_length
    return "length" if full or len(row.tokens) >= params.max_tokens else None
