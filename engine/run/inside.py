"""Answers to somebody who looks inside: each token of a prompt and its reply, how likely it was, what it looked at.

The messages are `engine/inspecting.py`, the weights `attention.py`. Nothing is generated here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from engine.errors import EngineError, ProtocolError
from engine.inspecting import Attend, Attention, Inspect, Inspected
from engine.run.attention import attention_weights, packed_weights
from engine.run.generate import Generator
from engine.run.generate_steps import prefill
from engine.text.context import fit

CHUNK = 64  # tokens whose logits are in memory at once


class CalledOff(EngineError):
    """Nobody waits for the answer any more."""

    code = "cancelled"


def inspect(generator: Generator, message: Inspect, cancelled: Callable[[], bool]) -> Inspected:
    """The prompt cut up as the model reads it, and the reply with the probabilities that it had.

    Raises:
        EngineError: EmptyPromptError, PromptTooLongError or TemplateError, as for a reply; CalledOff.
    """
    limit = generator.context_length
    reserve = min(message.max_tokens, limit // 4)
    prompt = fit(generator.template_for(message.plain), list(message.messages), limit, reserve)
    said = list(message.tokens) or generator.tokenizer.encode(message.reply, first=False)
    room = limit - len(prompt.tokens)
    reply = said[:room]
    _known(generator, reply)
    rows = _told(generator, prompt.tokens, reply, message.alternatives, cancelled)
    special = set(generator.tokenizer.special_tokens.values())
    return Inspected(
        message.request,
        tuple({"token": t, "text": generator.shown(t), "special": t in special} for t in prompt.tokens),
        tuple(rows[:-1]),
        rows[-1],
        tuple(sorted(generator.loaded.end_tokens)),
        prompt.dropped,
        len(said) - len(reply),
    )


def attend(generator: Generator, message: Attend, cancelled: Callable[[], bool]) -> Attention:
    """What one token of a context looks at.

    Raises:
        ProtocolError: the context is too long or has no such place.
        CalledOff: it was cancelled.
    """
    tokens, position = list(message.tokens), message.position
    if not 0 <= position < len(tokens) <= generator.context_length:
        raise ProtocolError(f"There is no place {position} in a context of {len(tokens)} tokens.")
    _known(generator, tokens)
    kept, cached = generator.shelf.take(tokens, 0)
    read = prefill(generator.model, tokens[cached:], kept.cache, cancelled)
    kept.tokens = tokens[: kept.cache.length]
    if read is None:
        raise CalledOff("It was called off.")
    weights = attention_weights(generator.model, kept.cache, tokens[position], position)
    span, text = packed_weights(weights)
    return Attention(message.request, position, weights.shape[0], weights.shape[1], span, text)


@torch.inference_mode()
def _told(
    generator: Generator, prompt: list[int], reply: list[int], count: int, cancelled: Callable[[], bool]
) -> list[dict[str, Any]]:
    """What `Tokens` says of each token of `reply`, and last of the likeliest one behind it."""
    kept, cached = generator.shelf.take(prompt, len(reply))
    logits = prefill(generator.model, prompt[cached:], kept.cache, cancelled)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(reply), CHUNK):
        kept.tokens = (prompt + reply)[: kept.cache.length]
        if logits is None or cancelled():
            raise CalledOff("It was called off.")
        chunk = reply[start : start + CHUNK]
        behind = generator.model(torch.tensor([chunk], device=generator.model.device), kept.cache)[0]
        before = torch.cat((logits[None], behind[:-1]))
        rows += [generator.told(token, row, count) for token, row in zip(chunk, before, strict=True)]
        logits = behind[-1]
    kept.tokens = (prompt + reply)[: kept.cache.length]
    if logits is None:
        raise CalledOff("It was called off.")
    return [*rows, generator.told(int(logits.argmax()), logits, count)]


def _known(generator: Generator, tokens: list[int]) -> None:
    """Tokens come from outside; one that the model has no row for would take the worker along."""
    if not all(0 <= token < generator.model.config.vocab_size for token in tokens):
        raise ProtocolError("These tokens are another model's.")
