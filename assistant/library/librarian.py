"""Librarian: gives a chat's question the passages of its library. What is chosen and how it reads is `grounding.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assistant.engine_client import EngineClient
from assistant.library.grounding import budget, chosen, most, passage, with_passages
from assistant.library.refreshing import Refresher
from assistant.storage.libraries import Source
from assistant.storage.store import Store
from engine.protocol import SamplingParams

PATIENCE = 5.0  # seconds a reply waits for changed documents to be read
Messages = list[dict[str, str]]


class Librarian:
    """Of the libraries in `store`; `tell` hears what a person should know."""

    def __init__(
        self, store: Store, client: EngineClient, refresher: Refresher, tell: Callable[[str], None] = lambda said: None
    ) -> None:
        self._store, self._client, self._refresher, self.tell = store, client, refresher, tell

    async def ground(
        self, kept: Store, chat: int, reply: int, messages: Messages, params: SamplingParams, begun: bool
    ) -> Messages:
        """`messages` with passages for the last question in it, where the chat has a library.

        Args:
            kept: where the chat is stored, and what the reply is given.
            params: of the reply, for how long it may be.
            begun: the reply goes on from what there is of it: with the passages it had.
        """
        library = kept.library_of(chat)
        place = next((i for i in range(len(messages) - 1, -1, -1) if messages[i]["role"] == "user"), None)
        if not library or place is None:
            return messages
        sources = kept.citations(chat).get(reply, []) if begun else []
        if not sources:  # also where a branch begins with words of another reply
            await self._refresh(library)
            sources = await self._sources(library, messages, place, params.max_tokens)
            kept.cite(reply, library, sources)
            if not sources:
                self.tell(f"Nothing in the library {library} has words of this question; the reply is made without.")
        question = {"role": "user", "content": with_passages(messages[place]["content"], sources)}
        return [*messages[:place], question, *messages[place + 1 :]]

    async def _refresh(self, library: str) -> None:
        """Have what is new or changed read; a reply does not wait long for it."""
        if not await self._refresher.stale(library):
            return
        reading = self._refresher.start(library)
        _, still = await asyncio.wait({reading}, timeout=PATIENCE)
        if still:
            self.tell(f"{library} is still being read; the reply uses what has been read of it so far.")

    async def _sources(self, library: str, messages: Messages, place: int, longest: int) -> list[Source]:
        from engine.questions import Count, Counts

        question = messages[place]["content"]
        found = self._store.find(library, question)
        if not found:  # "And why?" is about what was asked before
            before = [m["content"] for m in messages[:place] if m["role"] == "user"][-1:]
            found = self._store.find(library, "\n".join([*before, question]))
        if not found:
            return []
        context = (await self._client.load()).context_length
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        counts = await self._client.ask(Count("", (question + system, *(passage(one) for one in found))))
        assert isinstance(counts, Counts)
        room = budget(context, counts.tokens[0], longest)
        return chosen(found, counts.tokens[1:], room, most(context))
