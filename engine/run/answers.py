"""Questions with one answer each: many replies at once, scores of given replies, vectors, token counts, a look inside.

A reply that is streamed is `generate.py`; the messages are `protocol.py`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from engine.errors import ProtocolError
from engine.inspecting import Attend, Inspect
from engine.protocol import Message
from engine.questions import Batch, Count, Counts, Embed, Embeddings, Replies, Score, Scores
from engine.run.batch import generate_batch
from engine.run.generate import Generator
from engine.run.inside import attend, inspect
from engine.run.scoring import embed, score_continuations, traits
from engine.text.context import fit
from engine.text.text_stream import TextStream


def answer(generator: Generator, message: Message, cancelled: Callable[[], bool]) -> Message:
    """The answer to a question.

    Raises:
        EngineError: it cannot be answered: nothing to answer, too long, or no question.
    """
    tokenizer = generator.tokenizer
    if isinstance(message, Inspect):
        return inspect(generator, message, cancelled)
    if isinstance(message, Attend):
        return attend(generator, message, cancelled)
    if isinstance(message, Batch):
        return _batch(generator, message, cancelled)
    if isinstance(message, Score):
        return _score(generator, message)
    if isinstance(message, Embed):
        make = traits if message.traits else embed
        vectors = make(generator.model, [tokenizer.encode(text) for text in message.texts])
        return Embeddings(message.request, tuple(vectors.tolist()))
    if isinstance(message, Count):
        return Counts(message.request, tuple(len(tokenizer.encode(text, first=False)) for text in message.texts))
    raise ProtocolError(f"The worker does not take {message.kind!r} messages.")


def _batch(generator: Generator, message: Batch, cancelled: Callable[[], bool]) -> Replies:
    params, limit, tokenizer = message.params, generator.context_length, generator.tokenizer
    template, reserve = generator.template_for(message.plain), min(params.max_tokens, limit // 4)
    prompts = [fit(template, list(chat), limit, reserve).tokens for chat in message.chats]
    seed, began = params.seed if params.seed is not None else secrets.randbelow(2**31), time.perf_counter()
    skip = " " if tokenizer.leading_space else ""
    streams = [TextStream(params.stop, skip=skip) for _ in range(len(prompts) * message.samples)]
    texts = [""] * len(streams)

    def stopped(row: int, token: int) -> bool:
        texts[row] += streams[row].push(tokenizer.token_bytes(token))
        return streams[row].stopped

    rows = generate_batch(
        generator.model,
        prompts,
        params,
        generator.loaded.end_tokens,
        samples=message.samples,
        seed=seed,
        cancelled=cancelled,
        stopped=stopped,
    )
    speed = sum(len(row.tokens) for row in rows) / (time.perf_counter() - began)
    replies = (
        {"text": texts[row.index] + streams[row.index].finish(), "tokens": len(row.tokens), "reason": row.reason}
        for row in rows
    )
    return Replies(message.request, tuple(replies), seed, speed)


def _score(generator: Generator, message: Score) -> Scores:
    template = generator.template_for(message.plain)
    prompt = fit(template, list(message.messages), generator.context_length, 0).tokens
    continuations = [generator.tokenizer.encode(text, first=False) for text in message.continuations]
    return Scores(message.request, tuple(score_continuations(generator.model, prompt, continuations)))
