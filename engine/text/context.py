"""Fitting a chat into the model's context: the oldest whole turns go first, and the caller is told what is left out."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from engine.errors import EmptyPromptError, PromptTooLongError
from engine.text.chat_template import ChatTemplate

Messages = list[dict[str, str]]
CUT_MARK = "\n[…]\n"  # what the model reads where a question's middle was left out


@dataclass(frozen=True)
class Prompt:
    """A chat as the model will read it."""

    tokens: list[int]
    dropped: int  # messages left out, all of them oldest ones
    cut: int = 0  # tokens left out of the last message's middle


def fit(
    template: ChatTemplate,
    messages: Messages,
    context_length: int,
    reserve: int,
    *,
    continue_last: bool = False,
    cut: bool = False,
) -> Prompt:
    """The tokens of `messages`, `reserve` tokens being left free for the reply.

    System messages and the last question always stay. With `continue_last` the last message is the beginning of
    the assistant's reply and is gone on with. With `cut` a question that does not fit alone loses its middle.

    Raises:
        EmptyPromptError: there is no question, or an empty one.
        PromptTooLongError: what must stay does not fit.
        TemplateError: the chat template refuses the messages.
    """
    begun = messages[-1]["content"] if continue_last and messages else ""
    chat = messages[:-1] if continue_last else messages
    system = [m for m in chat if m["role"] == "system"]
    talk = [m for m in chat if m["role"] != "system"]
    if not talk or talk[-1]["role"] != "user" or not talk[-1]["content"].strip():
        raise EmptyPromptError("There is nothing to answer yet: type a message first.")
    starts = [i for i, m in enumerate(talk) if m["role"] == "user"]  # a turn is a question and what followed it
    room = context_length - reserve
    begun_tokens = template.tokenizer.encode(begun)

    def tokens(turn: int) -> list[int]:
        return template.encode([*system, *talk[starts[turn] :]], answer=True) + begun_tokens

    first = bisect_left(range(len(starts)), True, key=lambda turn: len(tokens(turn)) <= room)
    if first == len(starts) and cut:
        return _cut(template, [*system, *talk[starts[-1] :]], room - len(begun_tokens), begun_tokens, len(talk) - 1)
    if first == len(starts):
        raise PromptTooLongError(
            f"This message is too long for the model: with the system prompt it is {len(tokens(first - 1)):,} tokens, "
            f"and {room:,} fit. Shorten it, or send it in parts."
        )
    return Prompt(tokens(first), starts[first] - starts[0] if first else 0)


def _cut(template: ChatTemplate, messages: Messages, room: int, begun: list[int], dropped: int) -> Prompt:
    """The prompt with as much of the last question's beginning and end as fits, and a mark where its middle was."""
    question = template.tokenizer.encode(messages[-1]["content"], first=False)

    def prompt(kept: int) -> list[int]:
        head, tail = question[: kept - kept // 2], question[len(question) - kept // 2 :]
        text = template.tokenizer.decode(head) + CUT_MARK + template.tokenizer.decode(tail)
        return template.encode([*messages[:-1], {**messages[-1], "content": text}], answer=True)

    kept = bisect_left(range(len(question)), True, key=lambda kept: len(prompt(kept)) > room) - 1
    if kept < 1:
        raise PromptTooLongError(
            f"The system prompt alone fills the model's context: {len(prompt(0)):,} tokens, and {room:,} fit. "
            "Shorten it."
        )
    return Prompt(prompt(kept) + begun, dropped, len(question) - kept)
