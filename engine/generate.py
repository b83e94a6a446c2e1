"""Answering: `prefill` and `decode` as plain functions, and `Generator`, which runs them for one chat after another.

Choosing a token is `sampler.py`; what the process around this does with messages is `worker.py`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from engine.chat_template import ChatTemplate
from engine.context import fit
from engine.kv_cache import KVCache
from engine.model import GPT
from engine.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, SamplingParams, Started
from engine.sampler import sample
from engine.text_stream import TextStream

PREFILL_CHUNK = 128  # tokens read between two looks at whether the reply is still wanted
CACHE_STEP = 1024  # tokens of room the cache is made larger by

Answer = Started | Delta | Done


def _never() -> bool:
    return False


@torch.inference_mode()
def prefill(model: GPT, tokens: list[int], cache: KVCache, cancelled: Callable[[], bool] = _never) -> Tensor | None:
    """Read `tokens` (one at least) into `cache`; returns the logits [vocabulary] behind the last, None if cancelled."""
    hidden = torch.empty(0)
    for start in range(0, len(tokens), PREFILL_CHUNK):
        if cancelled():
            return None
        chunk = torch.tensor([tokens[start : start + PREFILL_CHUNK]], device=model.device)
        hidden = model.hidden(chunk, cache)[:, -1]
    return model.logits(hidden)[0]


@torch.inference_mode()
def decode(model: GPT, token: int, cache: KVCache) -> Tensor:
    """Read one more token; returns the logits [vocabulary] behind it."""
    return model(torch.tensor([[token]], device=model.device), cache)[0, -1]


def cache_dtype(model: GPT) -> torch.dtype:
    """What keys and values are kept in. On a CPU fp32: one query over a bf16 cache takes five times as long there."""
    return torch.float32 if model.device.type == "cpu" else model.dtype


class Generator:
    """Answers chats with one model and keeps the KV cache between them: a common beginning is not read twice."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self.template = loaded.template or ChatTemplate.completion(loaded.tokenizer)
        self.context_length = self.model.config.context_length
        self._cache = KVCache(
            self.model.config,
            capacity=min(CACHE_STEP, self.context_length),
            device=self.model.device,
            dtype=cache_dtype(self.model),
        )
        self._read: list[int] = []  # the tokens the cache holds

    def reply(self, request: Generate, cancelled: Callable[[], bool] = _never) -> Iterator[Answer]:
        """Started, Deltas and one Done for `request`. `cancelled` is asked before every token and prompt chunk.

        Raises:
            EngineError: EmptyPromptError, PromptTooLongError or TemplateError, before anything is yielded.
        """
        began = time.perf_counter()
        params = request.params
        reserve = min(params.max_tokens, self.context_length // 4)
        prompt = fit(
            self.template,
            list(request.messages),
            self.context_length,
            reserve,
            continue_last=request.continue_last,
        )
        cached = self._keep_prefix(prompt.tokens, params.max_tokens)
        seed = params.seed if params.seed is not None else secrets.randbelow(2**31)
        yield Started(request.request, len(prompt.tokens), cached, prompt.dropped, self.context_length, seed)
        new = prompt.tokens[cached:]
        logits = prefill(self.model, new, self._cache, cancelled)
        if logits is None:
            self._read = prompt.tokens[: self._cache.length]
            yield Done(request.request, "cancelled", 0, 0.0, 0.0, self._cache.length)
            return
        self._read = list(prompt.tokens)
        yield from self._speak(request, logits, params, seed, began, cancelled)

    def _keep_prefix(self, tokens: list[int], more: int) -> int:
        """Cut the cache back to what it shares with `tokens` and make room for `more`; returns the shared length."""
        shared = 0
        for old, new in zip(self._read, tokens[:-1], strict=False):  # the last token is read anew, for its logits
            if old != new:
                break
            shared += 1
        self._cache.truncate(shared)
        self._read = tokens[:shared]
        needed = min(len(tokens) + more, self.context_length)
        self._cache.reserve(min(-(-needed // CACHE_STEP) * CACHE_STEP, self.context_length))
        return shared

    def _speak(
        self,
        request: Generate,
        logits: Tensor,
        params: SamplingParams,
        seed: int,
        began: float,
        cancelled: Callable[[], bool],
    ) -> Iterator[Answer]:
        """Sample, show, read, and again, until something ends it."""
        random = torch.Generator().manual_seed(seed)
        stream = TextStream(params.stop, skip=" " if self.tokenizer.leading_space and not request.continue_last else "")
        said: list[int] = []
        reason: Literal["stop", "length", "cancelled"] = "length"
        first = 0.0
        while len(said) < params.max_tokens:
            if cancelled():
                reason = "cancelled"
                break
            token = sample(logits, params, said, random)
            first = first or time.perf_counter()
            if token in self.loaded.end_tokens:
                reason = "stop"
                break
            said.append(token)
            if text := stream.push(self.tokenizer.token_bytes(token)):
                yield Delta(request.request, text)
            if stream.stopped:
                reason = "stop"
                break
            if self._cache.length >= self.context_length:
                break
            logits = decode(self.model, token, self._cache)
            self._read.append(token)
        if text := stream.finish():
            yield Delta(request.request, text)
        now = time.perf_counter()
        decoding = now - first if first else 0.0
        # The first token came out of the prompt; the others are what decoding made.
        speed = (len(said) - 1) / decoding if len(said) > 1 and decoding > 0 else 0.0
        wait = (first or now) - began
        yield Done(request.request, reason, len(said), speed, wait, self._cache.length)
