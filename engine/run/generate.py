"""Generator: answers one chat after another with one model.

Choosing a token is `sampler.py`; what the process around this does with messages is `worker.py`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from engine.files.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, Started, Tokens
from engine.run.cache_shelf import CacheShelf
from engine.run.generate_steps import prefill
from engine.run.sampler import Seen, sample
from engine.run.scoring import alternatives
from engine.run.speculate import Reader
from engine.run.threads import ThreadChooser
from engine.text.chat_template import ChatTemplate
from engine.text.context import fit
from engine.text.text_stream import TextStream

Answer = Started | Delta | Tokens | Done


def _never() -> bool:
    return False


class Generator:
    """Answers chats with one model and keeps the KV cache between them: a common beginning is not read twice."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.model, self.tokenizer = loaded.model, loaded.tokenizer
        self._completion = ChatTemplate.completion(loaded.tokenizer)
        self.template = loaded.template or self._completion
        self.context_length = self.model.config.context_length
        self.shelf = CacheShelf(self.model)
        self._threads = ThreadChooser(None if self.model.device.type == "cpu" else 1)
        self._names = {token: name for name, token in loaded.tokenizer.special_tokens.items()}

    def template_for(self, plain: bool) -> ChatTemplate:
        """How messages become text: the model's own way, or, with `plain`, as they stand."""
        return self._completion if plain else self.template

    def reply(self, request: Generate, cancelled: Callable[[], bool] = _never) -> Iterator[Answer]:
        """Started, Deltas (and Tokens, where asked for) and one Done for `request`.

        `cancelled` is asked before every token and prompt chunk.

        Raises:
            EngineError: EmptyPromptError, PromptTooLongError or TemplateError, before anything is yielded.
        """
        began = time.perf_counter()
        params = request.params
        reserve = min(params.max_tokens, self.context_length // 4) + len(request.begin)
        prompt = fit(
            self.template_for(request.plain),
            list(request.messages),
            self.context_length,
            reserve,
            continue_last=request.continue_last,
            cut=request.overlong == "cut",
        )
        tokens = prompt.tokens + list(request.begin)
        kept, cached = self.shelf.take(tokens, params.max_tokens)
        seed = params.seed if params.seed is not None else secrets.randbelow(2**31)
        limit = self.context_length
        yield Started(request.request, len(tokens), cached, prompt.dropped, limit, seed, prompt.cut)
        logits = prefill(self.model, tokens[cached:], kept.cache, cancelled)
        kept.tokens = tokens[: kept.cache.length]
        if logits is None:
            yield Done(request.request, "cancelled", 0, 0.0, 0.0, kept.cache.length)
            return
        yield from self._speak(request, Reader(self.model, kept.cache, kept.tokens), logits, seed, began, cancelled)

    def _speak(
        self,
        request: Generate,
        reader: Reader,
        logits: Tensor,
        seed: int,
        began: float,
        cancelled: Callable[[], bool],
    ) -> Iterator[Answer]:
        """Sample, show, read, and again, until something ends it."""
        params, random = request.params, torch.Generator().manual_seed(seed)
        stream = TextStream(params.stop, skip=" " if self.tokenizer.leading_space and not request.continue_last else "")
        said: list[int] = []
        seen = Seen(request.begin)
        if text := "".join(stream.push(self.tokenizer.token_bytes(token)) for token in request.begin):
            yield Delta(request.request, text)
        reason: Literal["stop", "length", "cancelled"] = "length"
        first = 0.0
        if request.begin and request.begin[-1] in self.loaded.end_tokens:
            reason = "stop"
        while len(said) < params.max_tokens and reason != "stop":
            if cancelled():
                reason = "cancelled"
                break
            token = sample(logits, params, seen, random)
            first = first or time.perf_counter()
            if token in self.loaded.end_tokens:
                reason = "stop"
                break
            said.append(token)
            seen.add(token)
            if request.alternatives:
                yield Tokens(request.request, (self.told(token, logits, request.alternatives),))
            if text := stream.push(self.tokenizer.token_bytes(token)):
                yield Delta(request.request, text)
            if stream.stopped:
                reason = "stop"
                break
            if len(reader.history) >= self.context_length:
                break
            read = time.perf_counter()
            logits = reader.read(token)
            if reader.plain:
                self._threads.told(time.perf_counter() - read)
        reader.settle()
        if text := stream.finish():
            yield Delta(request.request, text)
        now = time.perf_counter()
        decoding = now - first if first else 0.0
        # The first token came out of the prompt; the others are what decoding made.
        speed = (len(said) - 1) / decoding if len(said) > 1 and decoding > 0 else 0.0
        wait = (first or now) - began
        yield Done(request.request, reason, len(said), speed, wait, len(reader.history))

    def told(self, token: int, logits: Tensor, count: int) -> dict[str, Any]:
        """What `Tokens` says of one token, chosen from `logits` [vocabulary]."""
        score, others = alternatives(logits, token, count)
        return {
            "token": token,
            "text": self.shown(token),
            "log_probability": score,
            "alternatives": [[self.shown(other), value] for other, value in others],
            "ids": [other for other, _ in others],
        }

    def shown(self, token: int) -> str:
        """A token as a person reads it: its text, or its name where it has none."""
        return self.tokenizer.token_bytes(token).decode("utf-8", "replace") or self._names.get(token, "")
