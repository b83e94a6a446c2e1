"""ChatService: a chat's turns, without a screen. Everything is in the store before anything else happens to it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from assistant.engine_client import Answer, EngineClient
from assistant.errors import AssistantError, StorageError
from assistant.storage.rows import Message, Status
from assistant.storage.store import Store
from assistant.text import make_title, printable
from engine.catalog import ModelInfo, sampling_defaults
from engine.errors import EmptyPromptError, EngineError
from engine.protocol import Delta, Done, SamplingParams, Started

FLUSH_SECONDS = 1.0  # between two saves of a reply that is being made


@dataclass(frozen=True)
class Turn:
    """A question that is stored and the place of its reply."""

    chat: int
    reply: int


class ChatService:
    """Chats of one store with one model."""

    def __init__(self, store: Store, client: EngineClient, model: ModelInfo) -> None:
        self.store, self.client, self.model = store, client, model
        self.params: SamplingParams = sampling_defaults(model.path)

    def ask(self, chat: int | None, text: str) -> Turn:
        """Store a question, in a new chat where `chat` is None; its reply is then made by `reply`.

        Raises:
            EmptyPromptError: there is nothing but white space.
            StorageError: it could not be stored.
        """
        text = printable(text).strip("\n")
        if not text.strip():
            raise EmptyPromptError("There is nothing to send yet: type a message first.")
        chat, _, reply = self.store.begin_turn(chat, text, make_title(text), self.model.name)
        return Turn(chat, reply)

    def ask_again(self, chat: int) -> Turn | None:
        """Make the chat's last reply anew, beside the old one; None when there is none."""
        reply = self.store.begin_again(chat, self.model.name)
        return Turn(chat, reply) if reply is not None else None

    async def reply(self, turn: Turn) -> AsyncGenerator[Answer, None]:
        """The events of the reply to `turn`, its text saved about once a second and at its end, whatever that is.

        Raises:
            EngineError, WorkerDied: after what there is of the reply has been saved as failed.
        """
        text, saved = "", time.monotonic()
        status: Status = "stopped"
        numbers: dict[str, float] = {}
        try:
            async with aclosing(self.client.generate(self._messages(turn), self.params)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        numbers["seed"] = event.seed
                    elif isinstance(event, Delta):
                        event = replace(event, text=printable(event.text))
                        text += event.text
                        if time.monotonic() - saved > FLUSH_SECONDS:
                            with suppress(StorageError):  # the disk may have room again by the end
                                self.store.flush(turn.reply, text)
                            saved = time.monotonic()
                    elif isinstance(event, Done):
                        status = "stopped" if event.reason == "cancelled" else "complete"
                        numbers |= _numbers(event)
                    yield event
        except (EngineError, AssistantError):
            status = "failed"
            raise
        finally:  # also when the app closes in the middle
            self.store.finish(turn.reply, text, status, **numbers)

    async def switch(self, model: ModelInfo) -> None:
        """Answer with `model` from now on; `client.load` loads it. For when no reply is being made."""
        await self.client.switch(model.path)
        self.model, self.params = model, sampling_defaults(model.path)

    async def stop(self) -> None:
        """Stop the reply that is being made; what there is of it stays."""
        await self.client.cancel()

    def _messages(self, turn: Turn) -> list[dict[str, str]]:
        """What the model is to read: everything before the reply that has words in it."""
        before = [m for m in self.store.history(turn.chat) if m.id != turn.reply]
        return [{"role": m.role, "content": m.content} for m in _answered(before)]


def _answered(messages: list[Message]) -> list[Message]:
    """Without questions that got no word in reply, and their empty replies: a template wants turns that alternate."""
    kept: list[Message] = []
    for message in messages:
        if message.role == "assistant" and not message.content:
            kept.pop()
        else:
            kept.append(message)
    return kept


def _numbers(done: Done) -> dict[str, float]:
    return {
        "tokens": done.tokens,
        "tokens_per_second": done.tokens_per_second,
        "seconds_to_first_token": done.seconds_to_first_token,
    }
