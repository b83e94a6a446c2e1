"""What a model thinks of given text: log-probabilities of tokens, of continuations, and vectors of whole texts.

Pure functions of a decoder and token ids; all logarithms are natural. Choosing new tokens is `generate.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.decoder.view import both_ways, padded
from engine.errors import EmptyPromptError, PromptTooLongError
from engine.run.fuse import Decoder
from engine.run.generate_steps import new_cache, prefill
from engine.run.rows import by_length, pad

ROWS = 4096  # tokens, padding included, that are embedded at once


@torch.inference_mode()
def score_continuations(model: Decoder, context: list[int], continuations: list[list[int]]) -> list[list[float]]:
    """Log-probability of each token of each continuation behind `context`, which is read once.

    The sum over a continuation is what multiple-choice and zero-shot classification compare (Brown et al. 2020).

    Raises:
        EmptyPromptError: no context; a first token has no probability without one.
        PromptTooLongError: context and continuation together are longer than the model's context.
    """
    if not context:
        raise EmptyPromptError("There is nothing to go on from: a continuation is scored behind some text.")
    longest = len(context) + max(map(len, continuations), default=0)
    if longest > model.config.context_length:
        raise PromptTooLongError(
            f"Context and continuation are {longest:,} tokens, and the model reads {model.config.context_length:,}."
        )
    cache = new_cache(model, longest)
    first = prefill(model, context, cache)
    assert first is not None
    scores = []
    for tokens in continuations:
        rows = first[None]
        if len(tokens) > 1:
            rows = torch.cat((rows, model(torch.tensor([tokens[:-1]], device=model.device), cache)[0]))
            cache.truncate(len(context))
        scores.append(_picked(rows, tokens) if tokens else [])
    return scores


@torch.inference_mode()
def token_log_probabilities(model: Decoder, tokens: list[int]) -> list[float]:
    """Log-probability of every token but the first; the text may be longer than the model's context.

    Longer texts are read in windows that overlap by half, so that every token but the first few has at least half a
    context before it, and is counted once.
    """
    size = model.config.context_length
    scores: list[float] = []
    start = 0
    while len(scores) < len(tokens) - 1:
        window = tokens[start : start + size]
        rows = model(torch.tensor([window[:-1]], device=model.device))[0]
        known = len(scores) - start  # targets of this window that the one before has scored
        scores += _picked(rows[known:], window[1 + known :])
        start += size // 2
    return scores


@torch.inference_mode()
def embed(model: Decoder, texts: list[list[int]]) -> Tensor:
    """Vectors [texts, C], fp32: the mean over a text's tokens of the last layer's normed output; zeros for no tokens.

    Texts longer than the context are cut at its end. Similar lengths are read together.
    """
    vectors = torch.zeros(len(texts), model.config.d_model)
    order = sorted((i for i, text in enumerate(texts) if text), key=lambda i: len(texts[i]))
    while order:
        width = min(len(texts[order[-1]]), model.config.context_length)
        rows, order = order[-max(1, ROWS // width) :], order[: -max(1, ROWS // width)]
        cut = [texts[i][:width] for i in rows]
        padding = torch.tensor([width - len(text) for text in cut], device=model.device)
        tokens = torch.tensor([[0] * (width - len(text)) + text for text in cut], device=model.device)
        hidden = model.hidden(tokens, None, padded(padding, 0, width)).float()
        real = (torch.arange(width, device=model.device) >= padding[:, None]).unsqueeze(-1)
        means = torch.where(real, hidden, 0.0).sum(1) / real.sum(1)
        vectors[torch.tensor(rows)] = means.cpu()
    return vectors


@torch.inference_mode()
def traits(model: Decoder, texts: list[list[int]]) -> Tensor:
    """Vectors [texts, 3·C], fp32, by which texts of one kind lie near each other; zeros for no tokens.

    Means over a text's tokens, which all see the whole text, of what the first block, the one in the middle and the
    last write. Words are in the lower ones, and a token that sees what follows it says more of its text: with 60
    examples of 6 kinds of questions the nearest kind is right for 83 %, by `embed` for 52. Texts are cut as there.
    """
    blocks = model.config.n_layer
    wanted = min(1, blocks - 1), blocks // 2  # what these read is what those before them wrote
    vectors = torch.zeros(len(texts), 3 * model.config.d_model)
    cut = [text[: model.config.context_length] for text in texts]
    some = [index for index, text in enumerate(cut) if text]
    for batch in by_length([len(cut[index]) for index in some], ROWS):
        rows = [some[index] for index in batch]
        tokens, lengths = (each.to(model.device) for each in pad([cut[row] for row in rows]))
        streams: dict[int, Tensor] = {}

        def watch(block: int, x: Tensor, _: Any, kept: dict[int, Tensor] = streams) -> None:
            if block in wanted:
                kept[block] = x.float().clone()  # blocks write over it

        last = model.hidden(tokens, view=both_ways(lengths, tokens.shape[1]), watch=watch).float()
        real = (torch.arange(tokens.shape[1], device=model.device) < lengths[:, None]).unsqueeze(-1)
        for part, hidden in enumerate((*(streams[block].view(last.shape) for block in wanted), last)):
            means = torch.where(real, hidden, 0.0).sum(1) / real.sum(1)
            start = part * model.config.d_model
            vectors[torch.tensor(rows), start : start + model.config.d_model] = means.cpu()
    return vectors


def alternatives(logits: Tensor, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """(log-probability of `token`, the `count` likeliest tokens with theirs) for logits [vocabulary]."""
    logits = logits.float()
    values, tokens = logits.topk(min(count, logits.numel()))
    total = logits.logsumexp(-1)  # a softmax of the whole vocabulary would cost more than these few need
    return float(logits[token] - total), list(zip(tokens.tolist(), (values - total).tolist(), strict=True))


def _picked(logits: Tensor, tokens: list[int]) -> list[float]:
    """Log-probabilities of `tokens` under logits [tokens, vocabulary]."""
    targets = torch.tensor(tokens, device=logits.device)
    return torch.log_softmax(logits.float(), -1).gather(1, targets[:, None])[:, 0].tolist()
