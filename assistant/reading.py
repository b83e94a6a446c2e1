"""What of a chat the model is given to read: turns that alternate, whatever was deleted from between them."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.storage.rows import Message


def what_the_model_reads(
    before: Sequence[Message], system: str = "", begun: str = ""
) -> tuple[list[dict[str, str]], int]:
    """The messages for the engine: `before` a reply, under the instruction `system`, then what is `begun` of the reply.

    Questions that got no word in reply go with their empty replies, neighbours of one role become one message, for
    a chat template wants turns that alternate. Returns also how many replies at the beginning have lost their
    question and cannot be read.
    """
    kept: list[dict[str, str]] = []
    unread = 0
    for message in _answered(before):
        if message.role == "assistant" and not kept:
            unread += 1
        elif kept and kept[-1]["role"] == message.role:
            kept[-1]["content"] += "\n\n" + message.content
        else:
            kept.append({"role": message.role, "content": message.content})
    if system.strip():
        kept.insert(0, {"role": "system", "content": system})
    if begun:
        kept.append({"role": "assistant", "content": begun})
    return kept, unread


def _answered(messages: Sequence[Message]) -> list[Message]:
    kept: list[Message] = []
    for message in messages:
        if message.role == "assistant" and not message.content:
            if kept and kept[-1].role == "user":
                kept.pop()
        else:
            kept.append(message)
    return kept
