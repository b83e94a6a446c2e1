"""Fitting a chat into the model's context: the oldest whole turns go first, and the caller is told how many."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from engine.chat_template import ChatTemplate
from engine.errors import EmptyPromptError, PromptTooLongError

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Prompt:
    """A chat as the model will read it."""

    tokens: list[int]
    dropped: int  # messages left out, all of them oldest ones


def fit(
    template: ChatTemplate,
    messages: Messages,
    context_length: int,
    reserve: int,
    *,
    continue_last: bool = False,
) -> Prompt:
    """The tokens of `messages`, `reserve` tokens being left free for the reply.

    System messages and the last question always stay. With `continue_last` the last message is the beginning of
    the assistant's reply and is gone on with.

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
    if first == len(starts):
        raise PromptTooLongError(
            f"This message is too long for the model: with the system prompt it is {len(tokens(first - 1)):,} tokens, "
            f"and {room:,} fit. Shorten it, or send it in parts."
        )
    return Prompt(tokens(first), starts[first] - starts[0] if first else 0)
