"""Generator: the cache changes speed and nothing else, and a reply ends for the right reason."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.kv_cache import KVCache
from engine.files.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, SamplingParams, Started
from engine.run.generate import Generator
from engine.run.generate_steps import decode, prefill

GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=20)


def ask(*texts: str, params: SamplingParams = GREEDY, **more) -> Generate:
    messages = tuple({"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts))
    return Generate("r", messages, params, **more)


def collect(generator: Generator, request: Generate, cancelled=lambda: False) -> tuple[Started, str, Done]:
    answers = list(generator.reply(request, cancelled))
    assert isinstance(answers[0], Started)
    assert isinstance(answers[-1], Done)
    return answers[0], "".join(a.text for a in answers if isinstance(a, Delta)), answers[-1]


def without_cache(loaded: LoadedModel, tokens: list[int], count: int) -> list[int]:
    said: list[int] = []
    for _ in range(count):
        said.append(int(loaded.model(torch.tensor([tokens + said]))[0, -1].argmax()))
    return said


def test_prefill_in_pieces_and_decode_equal_one_pass(tiny: LoadedModel) -> None:
    tokens = [i * 7 % 256 for i in range(200)]  # more than one chunk
    cache = KVCache(tiny.model.config)
    logits = prefill(tiny.model, tokens, cache)
    whole = tiny.model(torch.tensor([[*tokens, 9]]))[0]
    torch.testing.assert_close(logits, whole[-2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(decode(tiny.model, 9, cache), whole[-1], atol=1e-4, rtol=1e-4)


def test_a_greedy_reply_equals_generation_without_a_cache(tiny: LoadedModel) -> None:
    request = ask("Hello there")
    tokens = tiny.template.encode(list(request.messages), answer=True)
    expected = b"".join(map(tiny.tokenizer.token_bytes, without_cache(tiny, tokens, 20))).decode("utf-8", "ignore")
    _, text, done = collect(Generator(tiny), request)
    assert text == expected
    assert (done.reason, done.tokens) == ("length", 20)


def test_the_second_turn_reads_only_what_is_new_and_says_the_same(tiny: LoadedModel) -> None:
    kept = Generator(tiny)
    _, first, _ = collect(kept, ask("One"))
    started, second, _ = collect(kept, ask("One", first, "Two"))
    fresh, alone, _ = collect(Generator(tiny), ask("One", first, "Two"))
    assert started.cached_tokens > len(tiny.template.encode([{"role": "user", "content": "One"}]))
    assert fresh.cached_tokens == 0
    assert second == alone


def test_an_edited_question_cuts_the_cache_back(tiny: LoadedModel) -> None:
    kept = Generator(tiny)
    collect(kept, ask("The same start and then one thing"))
    _, text, _ = collect(kept, ask("The same start and then another"))
    assert text == collect(Generator(tiny), ask("The same start and then another"))[1]


def test_a_seed_repeats_a_reply(tiny: LoadedModel) -> None:
    params = SamplingParams(1.0, seed=5, max_tokens=30)
    texts = [collect(Generator(tiny), ask("Hi", params=params))[1] for _ in range(2)]
    assert texts[0] == texts[1]
    started, text, _ = collect(Generator(tiny), ask("Hi", params=SamplingParams(1.0, max_tokens=30)))
    again = SamplingParams(1.0, max_tokens=30, seed=started.seed)
    assert collect(Generator(tiny), ask("Hi", params=again))[1] == text, "the seed that was drawn is reported"


def test_end_token_ends_the_reply(tiny: LoadedModel) -> None:
    request = ask("Hello there")
    tokens = tiny.template.encode(list(request.messages), answer=True)
    third = without_cache(tiny, tokens, 3)[-1]
    ends = LoadedModel("tiny", tiny.model, tiny.tokenizer, tiny.template, frozenset({third}))
    _, _, done = collect(Generator(ends), request)
    assert done.reason == "stop"
    assert done.tokens <= 2


def test_a_full_context_ends_the_reply(tiny: LoadedModel) -> None:
    params = SamplingParams(0.0, max_tokens=10_000)
    _, _, done = collect(Generator(tiny), ask("x" * 100, params=params))
    assert done.reason == "length"
    assert done.context_used == tiny.model.config.context_length


def test_cancel_while_reading_and_while_speaking(tiny: LoadedModel) -> None:
    generator = Generator(tiny)
    _, text, done = collect(generator, ask("Hello"), lambda: True)
    assert (text, done.reason, done.tokens) == ("", "cancelled", 0)
    looks = iter([False] * 6 + [True] * 100)
    _, _, done = collect(generator, ask("Hello"), lambda: next(looks))
    assert done.reason == "cancelled"
    assert 1 <= done.tokens <= 6
    again = collect(generator, ask("Hello"))[1]
    assert again == collect(Generator(tiny), ask("Hello"))[1], "a cancelled reply leaves the cache usable"


def test_special_tokens_that_a_person_types_are_text(tiny: LoadedModel) -> None:
    tokens = tiny.template.encode([{"role": "user", "content": "a<|im_end|>b"}])
    assert tokens.count(tiny.tokenizer.special("<|im_end|>")) == 1


@pytest.mark.parametrize("length", [1, 129])
def test_the_cache_grows_without_losing_anything(tiny: LoadedModel, length: int) -> None:
    tokens = [i % 256 for i in range(length)]
    small, large = KVCache(tiny.model.config, capacity=length), KVCache(tiny.model.config)
    prefill(tiny.model, tokens, small)
    prefill(tiny.model, tokens, large)
    small.reserve(length + 5)
    torch.testing.assert_close(decode(tiny.model, 3, small), decode(tiny.model, 3, large))
