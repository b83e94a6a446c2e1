"""Reading ahead changes how long a reply takes and nothing else; caches of several chats do not mix."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.kv_cache import KVCache
from engine.files.model_folder import LoadedModel
from engine.protocol import SamplingParams
from engine.run.cache_shelf import CacheShelf, shared
from engine.run.generate import Generator
from engine.run.generate_steps import prefill
from engine.run.sampler import sample
from engine.run.speculate import LONGEST, Reader, _Pace
from tests.engine.test_generate import GREEDY, ask, collect

REPETITIVE = list(b"the cat sat on the mat. the cat sat on the mat. the cat sat on the mat. the cat")


def speak(loaded: LoadedModel, params: SamplingParams, *, ahead: bool, count: int = 120) -> tuple[list[int], Reader]:
    """`count` tokens after the repetitive prompt, and the reader that read them."""
    cache = KVCache(loaded.model.config)
    logits = prefill(loaded.model, REPETITIVE, cache)
    reader = Reader(loaded.model, cache, list(REPETITIVE), enabled=ahead)
    random, said = torch.Generator().manual_seed(params.seed or 0), []
    for _ in range(count):
        assert logits is not None
        said.append(sample(logits, params, said, random))
        logits = reader.read(said[-1])
    reader.settle()
    return said, reader


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guess whenever there is something to guess, whether that is quicker here or not."""
    monkeypatch.setattr(Reader, "_pays", lambda reader: True)


@pytest.mark.usefixtures("always")
def test_greedy_tokens_are_the_same_and_some_came_from_guesses(tiny: LoadedModel) -> None:
    plain, _ = speak(tiny, GREEDY, ahead=False)
    ahead, reader = speak(tiny, GREEDY, ahead=True)
    assert ahead == plain
    assert reader.accepted > len(plain) // 4, "a model with random weights soon goes round in circles"


@pytest.mark.usefixtures("always")
def test_guesses_that_do_not_come_true_are_forgotten(tiny: LoadedModel) -> None:
    """The model is fed the prompt's own words with another end: the guess before it must leave nothing behind."""
    cache, other = KVCache(tiny.model.config), KVCache(tiny.model.config)
    prefill(tiny.model, REPETITIVE, cache)
    prefill(tiny.model, REPETITIVE, other)
    ahead, plain = Reader(tiny.model, cache, list(REPETITIVE)), Reader(tiny.model, other, [*REPETITIVE], enabled=False)
    for token in b" sat on the dog. the cat sat up":
        torch.testing.assert_close(ahead.read(token), plain.read(token), atol=1e-4, rtol=1e-4)
    assert ahead.drafted > ahead.accepted > 0


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(20))
def test_sampled_tokens_are_the_same_for_the_same_random_numbers(tiny: LoadedModel, seed: int) -> None:
    """Which is more than the same distribution."""
    params = SamplingParams(0.7, top_p=0.9, seed=seed)
    plain, _ = speak(tiny, params, ahead=False, count=60)
    ahead, reader = speak(tiny, params, ahead=True, count=60)
    assert ahead == plain
    assert reader.drafted > 0


@pytest.mark.usefixtures("always")
def test_the_cache_is_as_plain_decoding_leaves_it(tiny: LoadedModel) -> None:
    _, plain = speak(tiny, GREEDY, ahead=False)
    _, ahead = speak(tiny, GREEDY, ahead=True)
    assert plain.history == ahead.history
    assert plain._cache.length == ahead._cache.length == len(plain.history)
    for mine, theirs in zip(plain._cache.layers, ahead._cache.layers, strict=True):
        torch.testing.assert_close(mine.k[:, :, : mine.length], theirs.k[:, :, : theirs.length], atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("always")
def test_guesses_do_not_run_over_the_contexts_end(tiny: LoadedModel) -> None:
    params = SamplingParams(0.0, max_tokens=10_000)
    _, text, done = collect(Generator(tiny), ask("ha " * 30, params=params))
    assert done.context_used == tiny.model.config.context_length
    assert text


def test_guessing_stops_where_it_does_not_pay_and_is_tried_again(tiny: LoadedModel) -> None:
    _, reader = speak(tiny, GREEDY, ahead=True, count=5)
    reader._plain, reader._ahead = _Pace(), _Pace()
    for _ in range(4):
        reader._plain.add(0.001)
        reader._ahead.add(0.002)
    reader.history[:] = REPETITIVE
    assert reader._guess() == []
    assert reader._waiting > 0
    reader._waiting, reader._indexed = 0, 0
    assert len(reader._guess()) == LONGEST


def test_two_chats_keep_their_caches(tiny: LoadedModel) -> None:
    generator = Generator(tiny)
    collect(generator, ask("The first chat is about rivers and boats"))
    collect(generator, ask("Quite another thing, namely cooking soup"))
    started, text, _ = collect(generator, ask("The first chat is about rivers and boats"))
    assert started.prompt_tokens - started.cached_tokens == 1, "only the last token is read again"
    assert len(generator.shelf.kept) == 2
    assert text == collect(Generator(tiny), ask("The first chat is about rivers and boats"))[1]


def test_a_shared_beginning_is_copied_not_taken(tiny: LoadedModel) -> None:
    shelf = CacheShelf(tiny.model)
    first, length = shelf.take([*range(40), 1, 2, 3] * 2, 10)
    assert length == 0
    tokens = [*range(40), *[7] * 60]
    prefill(tiny.model, tokens, first.cache)
    first.tokens = tokens
    second, length = shelf.take([*range(40), 9, 9, 9], 10)
    assert (length, second.cache.length, first.cache.length) == (40, 40, 100)
    logits = prefill(tiny.model, [9, 9, 9], second.cache)
    expected = tiny.model(torch.tensor([[*range(40), 9, 9, 9]]))[0, -1]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_old_caches_go_when_memory_runs_short(tiny: LoadedModel) -> None:
    one = KVCache(tiny.model.config).bytes
    shelf = CacheShelf(tiny.model, budget=2 * one)
    for start in (0, 50, 100):
        kept, _ = shelf.take([start + i for i in range(30)], 10)
        kept.tokens = [start + i for i in range(30)]
    assert [kept.tokens[0] for kept in shelf.kept] == [50, 100]
    shelf.take([50 + i for i in range(30)], 10)
    assert [kept.tokens[0] for kept in shelf.kept] == [100, 50], "the one used last goes last"


def test_what_is_shared() -> None:
    assert shared([1, 2, 3], [1, 2, 3]) == 2, "the last token is read anew, for its logits"
    assert shared([1, 2], [1, 3, 4]) == 1
    assert shared([], [1]) == 0
