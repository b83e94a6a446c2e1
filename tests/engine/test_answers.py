"""The questions with one answer, over the worker's own pipe format; alternatives, plain texts and cut questions."""

from __future__ import annotations

import math

import pytest

from engine.errors import PromptTooLongError
from engine.files.model_folder import LoadedModel
from engine.protocol import Delta, Done, Generate, Message, SamplingParams, Started, Tokens, decode, encode
from engine.questions import Batch, Count, Counts, Embed, Embeddings, Replies, Score, Scores
from engine.run.answers import answer
from engine.run.generate import Generator

GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=12, seed=1)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def ask(loaded: LoadedModel, message: Message) -> Message:
    """The answer, both having gone through the pipe's encoding."""
    got = answer(Generator(loaded), decode(encode(message)), lambda: False)
    assert decode(encode(got)) == decode(encode(decode(encode(got))))
    return decode(encode(got))


def stream(loaded: LoadedModel, **more) -> list[Message]:
    request = Generate("r", more.pop("messages", (user("Hello there"),)), more.pop("params", GREEDY), **more)
    return list(Generator(loaded).reply(decode(encode(request))))


def said(answers: list[Message]) -> str:
    return "".join(a.text for a in answers if isinstance(a, Delta))


def test_replies_in_a_batch_are_those_asked_for_one_by_one(tiny: LoadedModel) -> None:
    chats = ([user("Hello there")], [user("Something much longer than that, to be padded against")])
    got = ask(tiny, Batch("b", chats, GREEDY, samples=2))
    assert isinstance(got, Replies)
    texts = [reply["text"] for reply in got.replies]
    assert texts == [said(stream(tiny, messages=tuple(chat))) for chat in chats for _ in range(2)]
    assert {reply["reason"] for reply in got.replies} == {"length"}
    assert got.seed == 1


def test_a_stop_string_ends_a_row_and_is_not_part_of_it(tiny: LoadedModel) -> None:
    whole = said(stream(tiny))
    stop = whole[4]
    got = ask(tiny, Batch("b", ([user("Hello there")],), SamplingParams(0.0, 0, 1.0, 0.0, 1.0, 12, 1, (stop,))))
    assert isinstance(got, Replies)
    assert got.replies[0]["text"] == whole[: whole.index(stop)]
    assert got.replies[0]["reason"] == "stop"


def test_scores_are_those_of_the_reply_itself(tiny: LoadedModel) -> None:
    told = [token for a in stream(tiny, alternatives=3) if isinstance(a, Tokens) for token in a.tokens]
    reply = said(stream(tiny))
    got = ask(tiny, Score("s", (user("Hello there"),), (reply, "x")))
    assert isinstance(got, Scores)
    assert len(got.scores) == 2
    if "\ufffd" not in "".join(token["text"] for token in told):
        assert got.scores[0] == pytest.approx([token["log_probability"] for token in told], abs=1e-3)


def test_alternatives_are_told_with_every_token(tiny: LoadedModel) -> None:
    answers = stream(tiny, alternatives=4)
    told = [token for a in answers if isinstance(a, Tokens) for token in a.tokens]
    done = answers[-1]
    assert isinstance(done, Done)
    assert len(told) == done.tokens == 12
    for token in told:
        scores = [score for _, score in token["alternatives"]]
        assert len(scores) == 4
        assert scores == sorted(scores, reverse=True)
        assert token["log_probability"] == pytest.approx(scores[0])  # greedy takes the likeliest
        assert sum(map(math.exp, scores)) <= 1 + 1e-6
    assert said(answers) == said(stream(tiny))
    assert not any(isinstance(a, Tokens) for a in stream(tiny))


def test_plain_text_goes_on_without_a_template(tiny: LoadedModel) -> None:
    plain = stream(tiny, messages=(user("abc"),), plain=True)
    assert isinstance(plain[0], Started)
    assert plain[0].prompt_tokens == 3
    assert said(plain) != said(stream(tiny, messages=(user("abc"),)))


def test_a_question_that_does_not_fit_is_refused_or_cut_as_the_caller_likes(tiny: LoadedModel) -> None:
    long = (user("early"), {"role": "assistant", "content": "yes"}, user("begin " + "x" * 400 + " end"))
    with pytest.raises(PromptTooLongError, match=r"4\d\d tokens, and 2"):
        stream(tiny, messages=long)
    started = stream(tiny, messages=long, overlong="cut")[0]
    assert isinstance(started, Started)
    assert started.prompt_tokens <= 256 - 12
    assert started.cut_tokens > 150
    assert started.dropped_messages == 2
    whole = stream(tiny, messages=(user("short"),), overlong="cut")[0]
    assert isinstance(whole, Started)
    assert whole.cut_tokens == 0


def test_a_cut_question_keeps_its_beginning_and_its_end(tiny: LoadedModel) -> None:
    from engine.text.context import CUT_MARK, fit

    prompt = fit(tiny.template, [user("begin " + "x" * 400 + " end")], 256, 20, cut=True)
    text = tiny.tokenizer.decode(prompt.tokens)
    assert "begin x" in text
    assert "x end" in text
    assert CUT_MARK in text
    assert len(prompt.tokens) <= 236
    assert prompt.cut + len(prompt.tokens) > 400
    with pytest.raises(PromptTooLongError, match="system prompt"):
        fit(tiny.template, [{"role": "system", "content": "y" * 400}, user("hm")], 256, 20, cut=True)


def test_vectors_and_counts(tiny: LoadedModel) -> None:
    vectors = ask(tiny, Embed("e", ("one", "two and more", "")))
    assert isinstance(vectors, Embeddings)
    assert [len(vector) for vector in vectors.vectors] == [32, 32, 32]
    several = ask(tiny, Embed("e", ("one", "two and more", "", "t" * 300), traits=True))
    assert [len(vector) for vector in several.vectors] == [3 * 32] * 4
    assert not any(several.vectors[2])
    (alone,) = ask(tiny, Embed("e", ("one",), traits=True)).vectors
    assert alone == pytest.approx(several.vectors[0], abs=1e-4), "what it is read with changes nothing"
    counts = ask(tiny, Count("c", ("abc", "", "é")))
    assert counts == Counts("c", (3, 0, 2))
