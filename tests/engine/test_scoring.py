"""Log-probabilities and vectors against what the model says when it reads each text alone, whole, without a cache."""

from __future__ import annotations

import pytest
import torch

from engine.errors import EmptyPromptError, PromptTooLongError
from engine.files.model_folder import LoadedModel
from engine.run.fuse import fuse
from engine.run.scoring import alternatives, embed, score_continuations, token_log_probabilities


def text(length: int, seed: int) -> list[int]:
    return torch.randint(0, 256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def alone(model, tokens: list[int]) -> torch.Tensor:
    """Log-probability of every token but the first."""
    rows = torch.log_softmax(model(torch.tensor([tokens]))[0, :-1].float(), -1)
    return rows[torch.arange(len(tokens) - 1), torch.tensor(tokens[1:])]


@pytest.mark.parametrize("fused", [False, True])
def test_continuations(tiny: LoadedModel, fused: bool) -> None:
    context, continuations = text(20, 1), [text(5, 2), text(1, 3), text(9, 4), []]
    model = fuse(tiny.model) if fused else tiny.model
    got = score_continuations(model, context, continuations)
    assert got.pop() == []
    for scores, tokens in zip(got, continuations, strict=False):
        expected = alone(tiny.model, context + tokens)[len(context) - 1 :]
        torch.testing.assert_close(torch.tensor(scores), expected, atol=1e-4, rtol=1e-4)


def test_a_continuation_needs_a_context_that_leaves_room(tiny: LoadedModel) -> None:
    with pytest.raises(EmptyPromptError):
        score_continuations(tiny.model, [], [[1]])
    with pytest.raises(PromptTooLongError, match="257 tokens"):
        score_continuations(tiny.model, text(250, 1), [text(7, 2)])


def test_a_text_longer_than_the_context_is_counted_once_and_with_half_a_context(tiny: LoadedModel) -> None:
    tokens, size = text(700, 5), tiny.model.config.context_length
    got = torch.tensor(token_log_probabilities(tiny.model, tokens))
    assert len(got) == 699
    torch.testing.assert_close(got[: size - 1], alone(tiny.model, tokens[:size]), atol=1e-4, rtol=1e-4)
    third = alone(tiny.model, tokens[size : 2 * size])
    torch.testing.assert_close(got[3 * size // 2 - 1 : 2 * size - 1], third[size // 2 - 1 :], atol=1e-4, rtol=1e-4)
    assert token_log_probabilities(tiny.model, [5]) == []


@pytest.mark.parametrize("fused", [False, True])
def test_vectors_are_means_whatever_they_are_read_with(tiny: LoadedModel, fused: bool) -> None:
    texts = [text(7, 1), [], text(30, 2), text(1, 3), text(300, 4)]
    vectors = embed(fuse(tiny.model) if fused else tiny.model, texts)
    assert vectors.shape == (5, 32)
    assert vectors[1].abs().sum() == 0
    for vector, tokens in zip(vectors, texts, strict=True):
        if tokens:
            expected = tiny.model.hidden(torch.tensor([tokens[:256]]))[0].mean(0)
            torch.testing.assert_close(vector, expected, atol=1e-4, rtol=1e-4)


def test_alternatives_are_the_likeliest_and_logarithms(tiny: LoadedModel) -> None:
    logits = torch.tensor([1.0, 3.0, 2.0])
    score, others = alternatives(logits, 0, 2)
    exact = torch.log_softmax(logits, -1)
    assert score == pytest.approx(float(exact[0]))
    assert [token for token, _ in others] == [1, 2]
    assert others[0][1] == pytest.approx(float(exact[1]))
    assert len(alternatives(logits, 0, 10)[1]) == 3
