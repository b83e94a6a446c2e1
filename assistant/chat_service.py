"""ChatService: a chat's turns, without a screen. Everything is in the store before anything else happens to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from assistant.engine_client import Answer, EngineClient
from assistant.errors import AssistantError, StorageError
from assistant.inspecting.pieces import ALTERNATIVES, Piece, Records
from assistant.library.librarian import Librarian
from assistant.library.refreshing import Refresher
from assistant.reading import what_the_model_reads
from assistant.settings.sampling import Wishes, merged
from assistant.storage.rows import Chat, Message, Status
from assistant.storage.store import Store, TemporaryStore, is_temporary
from assistant.text import make_title, printable, title_of
from assistant.unsaved import Unsaved
from engine.catalog import ModelInfo, sampling_defaults
from engine.errors import EmptyPromptError, EngineError
from engine.protocol import Delta, Done, SamplingParams, Started, Tokens

FLUSH_SECONDS = 1.0  # between two saves of a reply that is being made, which are also its signs of life


@dataclass(frozen=True)
class Turn:
    """A question that is stored and the place of its reply, `begun` where that goes on from earlier.

    `pieces` are tokens that the reply is to begin with.
    """

    chat: int
    reply: int
    begun: str = ""
    pieces: tuple[Piece, ...] = ()


class ChatService:
    """Chats of one store with one model."""

    def __init__(self, store: Store, client: EngineClient, model: ModelInfo) -> None:
        self.store, self.client, self.model = store, client, model
        self.params: SamplingParams = sampling_defaults(model.path)
        self.unsaved = Unsaved()
        self.records = Records()  # the tokens of the replies made last, for looking inside
        self.refresher = Refresher(store.path)
        self.librarian = Librarian(store, client, self.refresher)

    @cached_property
    def temporary(self) -> TemporaryStore:
        """Where the chats are that are never written."""
        return TemporaryStore()

    def temporary_chats(self) -> list[Chat]:
        """Those that are never written. As long as there is none, no store is made for them: that takes a while."""
        return self.temporary.chats() if "temporary" in vars(self) else []

    def store_of(self, chat: int | None) -> Store:
        return self.temporary if is_temporary(chat) else self.store

    def ask(
        self,
        chat: int | None,
        text: str,
        *,
        temporary: bool = False,
        wishes: Wishes | None = None,
        draft: str | None = None,
    ) -> Turn:
        """Store a question, in a new chat where `chat` is None; its reply is then made by `reply`.

        A new chat is a temporary one or not, and begins with `wishes`. `draft`: as the question was typed.

        Raises:
            EmptyPromptError: there is nothing but white space.
            StorageError: it could not be stored.
        """
        text = _words(text)
        store = self.temporary if temporary and chat is None else self.store_of(chat)
        wishes = wishes or Wishes()
        chat, _, reply = store.begin_turn(
            chat, text, make_title(text), self.model.name, wishes.system, wishes.params_json(), draft
        )
        return Turn(chat, reply)

    def edit(self, message: Message, text: str) -> Turn | None:
        """A changed question gets a branch and a Turn; a reply changed by hand gets a branch and no Turn.

        Raises:
            EmptyPromptError, StorageError: as `ask` does.
        """
        text, store = _words(text), self.store_of(message.chat)
        if message.role == "assistant":
            store.revise(message.id, text)
            return None
        chat, _, reply = store.begin_edit(message.id, text, self.model.name)
        return Turn(chat, reply)

    def ask_again(self, chat: int, reply: int | None = None) -> Turn | None:
        """Make `reply` (the chat's last where it is None) anew, beside the old one; None when there is none."""
        made = self.store_of(chat).begin_again(chat, self.model.name, reply)
        return Turn(chat, made) if made is not None else None

    def branch(self, message: Message, pieces: Sequence[Piece]) -> Turn | None:
        """A reply beside `message` that begins with `pieces`; None when it is gone."""
        turn = self.ask_again(message.chat, message.id)
        return replace(turn, pieces=tuple(pieces)) if turn is not None else None

    def resume(self, message: Message) -> Turn:
        """Go on with a reply that ended early."""
        return Turn(message.chat, message.id, self.store_of(message.chat).begin_continue(message.id, self.model.name))

    async def reply(self, turn: Turn) -> AsyncGenerator[Answer, None]:
        """The events of the reply to `turn`, its text saved about once a second and at its end, whatever that is.

        Raises:
            EngineError, WorkerDied: after what there is of the reply has been saved as failed.
            StorageError: what there is of the reply is kept in `unsaved`.
        """
        store, text, saved = self.store_of(turn.chat), turn.begun, time.monotonic()
        status: Status = "stopped"
        numbers: dict[str, object] = {}
        heart = asyncio.create_task(_beat(store, turn.reply))
        self.records.begin(turn.reply, self.model.path, turn.begun, turn.pieces)
        try:
            messages, params, unread = self._request(turn)
            messages = await self.librarian.ground(store, turn.chat, turn.reply, messages, params, bool(turn.begun))
            begin = tuple(piece.token for piece in turn.pieces)
            request = self.client.generate(
                messages, params, continue_last=bool(turn.begun), alternatives=ALTERNATIVES, begin=begin
            )
            async with aclosing(request) as events:
                async for event in events:
                    if isinstance(event, Started):
                        event = replace(event, dropped_messages=event.dropped_messages + unread)
                        numbers |= {"seed": event.seed, "dropped": event.dropped_messages}
                    elif isinstance(event, Delta):
                        event = replace(event, text=printable(event.text))
                        text += event.text
                        if time.monotonic() - saved > FLUSH_SECONDS:
                            with suppress(StorageError):  # the disk may have room again by the end
                                store.flush(turn.reply, text)
                            saved = time.monotonic()
                    elif isinstance(event, Tokens):
                        self.records.add(turn.reply, event.tokens)
                    elif isinstance(event, Done):
                        status = "stopped" if event.reason == "cancelled" else "complete"
                        numbers |= _numbers(event)
                    yield event
        except (EngineError, AssistantError):
            status = "failed"
            raise
        finally:  # also when the app closes in the middle
            heart.cancel()
            self.records.close(turn.reply, text)
            self.unsaved.finish(store, turn.reply, text, status, numbers)

    async def switch(self, model: ModelInfo) -> None:
        """Answer with `model` from now on; `client.load` loads it. For when no reply is being made."""
        await self.client.switch(model.path)
        self.model, self.params = model, sampling_defaults(model.path)

    async def stop(self) -> None:
        """Stop the reply that is being made; what there is of it stays."""
        await self.client.cancel()

    def entitle(self, chat: int) -> None:
        """Make the title out of the first exchange, once there is one and unless a person gave it."""
        store = self.store_of(chat)
        with suppress(StorageError):  # the title made of the question does, too
            first = store.history(chat)[:2]
            if len(store.tree(chat)) == 2 and len(first) == 2 and first[1].content:
                store.entitle(chat, title_of(first[0].content, first[1].content))

    def params_of(self, chat: int | None, wishes: Wishes | None = None) -> SamplingParams:
        """The model's own settings, then the person's defaults for the model, then what the chat wants."""
        stored = self.store_of(chat).chat(chat) if chat is not None else None
        wanted = Wishes.of(stored.system, stored.params) if stored else wishes or Wishes()
        return merged(self.params, self.defaults(), wanted.params)

    def defaults(self) -> dict[str, Any]:
        """The sampling settings that the person has made the default for this model."""
        return Wishes.of("", self.store.setting(f"defaults:{self.model.name}", "{}")).params

    def set_defaults(self, params: dict[str, Any]) -> None:
        self.store.set(f"defaults:{self.model.name}", Wishes("", params).params_json())

    def _request(self, turn: Turn) -> tuple[list[dict[str, str]], SamplingParams, int]:
        store = self.store_of(turn.chat)
        chat = store.chat(turn.chat)
        before = [m for m in store.history(turn.chat) if m.id != turn.reply]
        messages, unread = what_the_model_reads(before, chat.system if chat else "", turn.begun)
        return messages, self.params_of(turn.chat), unread


async def _beat(store: Store, reply: int) -> None:
    """Other windows see by this that the reply is still being made, however long the prompt takes to read."""
    while True:
        await asyncio.sleep(5 * FLUSH_SECONDS)
        with suppress(StorageError):
            store.beat(reply)


def _words(text: str) -> str:
    text = printable(text).strip("\n")
    if not text.strip():
        raise EmptyPromptError("There is nothing to send yet: type a message first.")
    return text


def _numbers(done: Done) -> dict[str, object]:
    return {
        "tokens": done.tokens,
        "tokens_per_second": done.tokens_per_second,
        "seconds_to_first_token": done.seconds_to_first_token,
        "finish": done.reason,
        "context_used": done.context_used,
    }
