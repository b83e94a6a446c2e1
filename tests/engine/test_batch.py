"""Several replies at once: each is the reply its prompt gets alone."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.kv_cache import KVCache
from engine.files.model_folder import LoadedModel
from engine.protocol import SamplingParams
from engine.run.batch import generate_batch
from engine.run.fuse import fuse
from engine.run.generate_steps import decode, prefill
from engine.run.sampler import sample

GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=12)
LIVELY = SamplingParams(1.0, top_p=0.95, repetition_penalty=1.2, max_tokens=12)


def prompt(length: int, seed: int) -> list[int]:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def alone(model, tokens: list[int], params: SamplingParams, seed: int, ends: frozenset[int]) -> list[int]:
    cache, random = KVCache(model.config), torch.Generator().manual_seed(seed)
    logits, said = prefill(model, tokens, cache), []
    while len(said) < params.max_tokens:
        token = sample(logits, params, said, random)
        if token in ends:
            break
        said.append(token)
        logits = decode(model, token, cache)
    return said


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("params", [GREEDY, LIVELY])
def test_prompts_of_different_lengths(tiny: LoadedModel, params: SamplingParams, fused: bool) -> None:
    model = fuse(tiny.model) if fused else tiny.model
    prompts = [prompt(5, 1), prompt(150, 2), prompt(1, 3), prompt(40, 4)]
    first = alone(model, prompts[1], params, 8, frozenset())
    ends = frozenset({first[3]})  # so that rows leave the batch at different times
    rows = generate_batch(model, prompts, params, ends, seed=7)
    assert [row.tokens for row in rows] == [alone(model, p, params, 7 + i, ends) for i, p in enumerate(prompts)]
    assert rows[1].reason == "stop"
    assert len(rows[1].tokens) <= 3


def test_samples_of_one_prompt_differ_and_come_back_with_their_seed(tiny: LoadedModel) -> None:
    wild = SamplingParams(4.0, top_p=1.0, repetition_penalty=1.2, max_tokens=12)
    rows = generate_batch(tiny.model, [prompt(9, 1), prompt(4, 2)], wild, frozenset(), samples=3, seed=5)
    assert len({tuple(row.tokens) for row in rows}) == 6
    assert rows[4].tokens == alone(tiny.model, prompt(4, 2), wild, 5 + 4, frozenset())


def test_ends(tiny: LoadedModel) -> None:
    assert generate_batch(tiny.model, [], GREEDY, frozenset()) == []
    (row,) = generate_batch(tiny.model, [prompt(250, 1)], SamplingParams(0.0, max_tokens=50), frozenset())
    assert (row.reason, len(row.tokens)) == ("length", 6)  # the context is full
    (row,) = generate_batch(tiny.model, [prompt(9, 1)], GREEDY, frozenset(), cancelled=lambda: True)
    assert (row.reason, row.tokens) == ("cancelled", [])
    (row,) = generate_batch(tiny.model, [prompt(9, 1)], GREEDY, frozenset(), stopped=lambda _row, _token: True)
    assert (row.reason, len(row.tokens)) == ("stop", 1)
