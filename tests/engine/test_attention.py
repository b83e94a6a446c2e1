"""Attention weights against transformers' own, for every architecture; their packing; and the questions about them."""

from __future__ import annotations

import base64
import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT
from engine.errors import ProtocolError
from engine.files.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, Message, SamplingParams, Started, Tokens, decode, encode
from engine.questions import Attend, Attention, Inspect, Inspected
from engine.run.answers import answer
from engine.run.attention import attention_weights, packed_weights, softmax_of
from engine.run.fuse import fuse
from engine.run.generate import Generator
from engine.run.generate_steps import prefill
from engine.run.inside import CalledOff
from tests.engine.test_parity import PEERS, open_folder, shake, tokens

KINDS = ("qwen3", "qwen3-yarn", "qwen2-window", "llama3.2", "smollm2", "mistral", "gemma3", "gpt2")
GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=12, seed=1)
ASKED = ({"role": "user", "content": "Hello there"},)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[GPT, Any]:
    torch.manual_seed(0)
    peer = shake(PEERS[request.param]().eval())
    peer.set_attn_implementation("eager")  # the others do not tell their weights
    folder = tmp_path_factory.mktemp(request.param)
    peer.save_pretrained(folder)
    return open_folder(folder), peer


def test_weights_are_those_of_transformers_in_plain_and_fused_layers(pair: tuple[GPT, Any]) -> None:
    ours, peer = pair
    ids = tokens(60)
    with torch.no_grad():
        expected = torch.stack(peer(torch.tensor([ids]), output_attentions=True).attentions)[:, 0]  # L H T S
    for model in (ours, fuse(copy.deepcopy(ours))):
        cache = KVCache(model.config, capacity=64)
        prefill(model, ids, cache)
        for position in (59, 30, 0, 45):  # the cache holds what is behind them as well, and goes on holding it
            got = attention_weights(model, cache, ids[position], position)
            torch.testing.assert_close(got, expected[:, :, position, : position + 1], atol=1e-4, rtol=1e-3)
            assert cache.length == 60


def test_softmax_by_hand() -> None:
    q = torch.tensor([[1.0, 0.0], [0.0, 2.0]])  # two query heads share one key head
    k = torch.tensor([[[1.0, 1.0], [2.0, 0.0], [0.0, 3.0]]])
    scores = torch.tensor([[1.0, 2.0, 0.0], [2.0, 0.0, 6.0]])
    torch.testing.assert_close(softmax_of(q, k, 0.5), (scores * 0.5).softmax(-1))
    windowed = softmax_of(q, k, 0.5, window=2)
    torch.testing.assert_close(windowed[:, 1:], (scores[:, 1:] * 0.5).softmax(-1))
    assert windowed[:, 0].tolist() == [0, 0]


def test_packing_keeps_small_weights_apart_and_sums_places_where_there_are_too_many() -> None:
    weights = torch.softmax(torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0)) * 3, -1)
    span, text = packed_weights(weights)
    steps = torch.tensor(list(base64.b64decode(text))).view(2, 3, 50)
    assert span == 1
    assert ((steps / 255) ** 2 - weights).abs().max() < 0.004
    assert len(set(steps[weights < 0.01].tolist())) > 5
    span, text = packed_weights(weights, largest=100)
    steps = torch.tensor(list(base64.b64decode(text))).view(2, 3, -1)
    assert (span, steps.numel()) == (3, 102)
    assert float(((steps[0, 0, 0] / 255) ** 2 - weights[0, 0, :3].sum()).abs()) < 0.004


def ask(generator: Generator, message: Message) -> Any:
    return decode(encode(answer(generator, decode(encode(message)), lambda: False)))


def said(generator: Generator, **more: Any) -> list[Message]:
    return list(generator.reply(decode(encode(Generate("r", ASKED, GREEDY, **more)))))


def test_a_reply_inspected_later_is_as_likely_as_it_was_when_it_was_made(tiny: LoadedModel) -> None:
    generator = Generator(tiny)
    events = said(generator, alternatives=4)
    told = [token for e in events if isinstance(e, Tokens) for token in e.tokens]
    started = events[0]
    assert isinstance(started, Started)
    later = ask(Generator(tiny), Inspect("i", ASKED, tokens=tuple(t["token"] for t in told), alternatives=4))
    assert isinstance(later, Inspected)
    assert [t["token"] for t in later.reply] == [t["token"] for t in told]
    for one, other in zip(told, later.reply, strict=True):
        assert other["log_probability"] == pytest.approx(one["log_probability"], abs=1e-3)
        assert other["ids"] == one["ids"]
    assert len(later.prompt) == started.prompt_tokens
    assert [t["text"] for t in later.prompt if t["special"]] == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert later.then["token"] == later.then["ids"][0]
    by_text = ask(generator, Inspect("i", ASKED, "abc", alternatives=2))
    assert [t["text"] for t in by_text.reply] == ["a", "b", "c"]


def test_a_long_reply_is_inspected_as_far_as_it_fits(tiny: LoadedModel) -> None:
    got = ask(Generator(tiny), Inspect("i", ASKED, "x" * 400, alternatives=1))
    assert len(got.prompt) + len(got.reply) == 256
    assert got.left_out == 400 - len(got.reply)


def test_attention_is_asked_for_by_tokens_and_place(tiny: LoadedModel) -> None:
    generator = Generator(tiny)
    ids = tuple(range(97, 117))
    got = ask(generator, Attend("a", ids, 9))
    assert isinstance(got, Attention)
    assert (got.layers, got.heads, got.span, got.position) == (2, 4, 1, 9)
    cache = KVCache(tiny.model.config)
    prefill(tiny.model, list(ids), cache)
    assert got.weights == packed_weights(attention_weights(tiny.model, cache, ids[9], 9))[1]
    for bad in (Attend("a", ids, 20), Attend("a", ids, -1), Attend("a", (1, 99999), 0), Attend("a", (1,) * 300, 0)):
        with pytest.raises(ProtocolError):
            ask(generator, bad)
    with pytest.raises(CalledOff):
        answer(Generator(tiny), Attend("a", ids, 3), lambda: True)
    with pytest.raises(CalledOff):
        answer(Generator(tiny), Inspect("i", ASKED, "abc"), lambda: True)
    assert ask(generator, Attend("a", ids, 9)).weights == got.weights, "what was refused has spoilt no cache"


def test_a_reply_can_begin_with_given_tokens(tiny: LoadedModel) -> None:
    generator = Generator(tiny)
    plain = [token["token"] for e in said(generator, alternatives=1) if isinstance(e, Tokens) for token in e.tokens]
    events = said(generator, alternatives=1, begin=tuple(plain[:5]))
    told = [token["token"] for e in events if isinstance(e, Tokens) for token in e.tokens]
    assert told[:7] == plain[5:], "greedy, so it goes on as it went"
    done = events[-1]
    assert isinstance(done, Done)
    assert done.tokens == 12
    text = "".join(e.text for e in events if isinstance(e, Delta))
    assert text.startswith(tiny.tokenizer.decode(plain[:5]).rstrip("\ufffd"))


def test_a_reply_that_begins_with_its_end_is_only_that(tiny: LoadedModel) -> None:
    end = tiny.tokenizer.special("<|im_end|>")
    events = said(Generator(replace(tiny, end_tokens=frozenset({end}))), begin=(97, 98, end))
    assert "".join(e.text for e in events if isinstance(e, Delta)) == "ab"
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.tokens) == ("stop", 0)
