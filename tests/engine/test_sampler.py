"""The sampler against transformers' logits processors, filter by filter and together."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.protocol import SamplingParams
from engine.run.sampler import Seen, distribution, penalize, sample

VOCABULARY = 1000


def reference(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Probabilities over the whole vocabulary as transformers computes them."""
    steps = LogitsProcessorList([TemperatureLogitsWarper(params.temperature)])
    if params.top_k:
        steps.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        steps.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        steps.append(MinPLogitsWarper(params.min_p))
    return steps(torch.zeros(1, 1, dtype=torch.long), logits[None]).softmax(-1)[0]


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(1.0, top_p=1),
        SamplingParams(0.5, top_p=1),
        SamplingParams(1.0, top_p=1, top_k=7),
        SamplingParams(0.7, top_p=0.9),
        SamplingParams(3.0, top_p=0.95),  # so flat that the nucleus is wider than the quick path
        SamplingParams(1.0, top_p=1, min_p=0.1),
        SamplingParams(0.8, top_p=0.8, top_k=40, min_p=0.05),
        SamplingParams(1.0, top_p=0.0001),
    ],
    ids=str,
)
def test_filters_equal_transformers(params: SamplingParams) -> None:
    for seed in range(5):
        logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
        probabilities, tokens = distribution(logits, params)
        ours = torch.zeros(VOCABULARY).index_copy(0, tokens, probabilities)
        torch.testing.assert_close(ours, reference(logits, params), atol=1e-6, rtol=1e-4)


def test_penalty_equals_transformers() -> None:
    logits = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(1))
    seen = [3, 5, 5, 900]
    expected = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([seen]), logits[None].clone())[0]
    torch.testing.assert_close(penalize(logits, seen, 1.3), expected)


def test_tokens_seen_one_by_one_count_as_those_seen_at_once() -> None:
    logits, seen = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(2)), Seen()
    tokens = [index * 3 % 700 for index in range(900)]  # more than it begins with room for, many twice
    for token in tokens:
        seen.add(token)
    assert len(seen) == len(set(tokens)) == 700
    torch.testing.assert_close(penalize(logits, seen, 1.3), penalize(logits, tokens, 1.3))


def test_temperature_zero_is_greedy_and_the_penalty_still_counts() -> None:
    logits = torch.tensor([1.0, 2.0, 1.9])
    greedy = SamplingParams(0.0, repetition_penalty=1.0)
    assert sample(logits, greedy, []) == 1
    assert sample(logits, SamplingParams(0.0, repetition_penalty=1.5), [1]) == 2


def test_a_seed_repeats_and_frequencies_follow_the_probabilities() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    params = SamplingParams(1.0, top_p=1, repetition_penalty=1)

    def draw(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [sample(logits, params, [], generator) for _ in range(4000)]

    assert draw(7) == draw(7) != draw(8)
    share = torch.bincount(torch.tensor(draw(7)), minlength=4) / 4000
    torch.testing.assert_close(share, logits.softmax(0), atol=0.03, rtol=0)
