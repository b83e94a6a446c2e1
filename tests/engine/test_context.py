"""Fitting a chat into the context: whole turns, oldest first, nothing dropped that must stay."""

from __future__ import annotations

import pytest

from engine.errors import EmptyPromptError, PromptTooLongError
from engine.files.model_folder import LoadedModel
from engine.text.context import fit


def chat(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


SYSTEM = {"role": "system", "content": "Be kind."}


def test_what_fits_is_left_alone(tiny: LoadedModel) -> None:
    messages = [SYSTEM, *chat("a", "b", "c")]
    prompt = fit(tiny.template, messages, 256, 64)
    assert prompt.dropped == 0
    assert prompt.tokens == tiny.template.encode(messages, answer=True)


def test_oldest_whole_turns_go_and_the_system_prompt_stays(tiny: LoadedModel) -> None:
    messages = [SYSTEM, *chat("first" * 8, "1" * 30, "second", "2" * 30, "third", "3" * 10, "now")]
    prompt = fit(tiny.template, messages, 256, 64)
    assert prompt.dropped in (2, 4)
    assert prompt.tokens == tiny.template.encode([SYSTEM, *messages[1 + prompt.dropped :]], answer=True)
    assert len(prompt.tokens) <= 192
    longer = tiny.template.encode([SYSTEM, *messages[1 + prompt.dropped - 2 :]], answer=True)
    assert len(longer) > 192, "no more is dropped than needed"


def test_a_message_too_long_by_itself_is_refused_with_numbers(tiny: LoadedModel) -> None:
    with pytest.raises(PromptTooLongError, match=r"too long.*\d+ tokens.*192 fit"):
        fit(tiny.template, chat("x" * 300), 256, 64)


@pytest.mark.parametrize("messages", [[], [SYSTEM], chat("  \n "), chat("a", "b")], ids=str)
def test_nothing_to_answer(tiny: LoadedModel, messages: list[dict[str, str]]) -> None:
    with pytest.raises(EmptyPromptError, match="nothing to answer"):
        fit(tiny.template, messages, 256, 64)


def test_a_begun_reply_is_gone_on_with(tiny: LoadedModel) -> None:
    prompt = fit(tiny.template, chat("hi", "Hel"), 256, 64, continue_last=True)
    assert prompt.tokens == tiny.template.encode(chat("hi"), answer=True) + tiny.tokenizer.encode("Hel")
