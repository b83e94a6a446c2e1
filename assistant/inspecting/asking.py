"""The inspector's questions to the engine. What is seen of the answers is inspection.py."""

from __future__ import annotations

from typing import cast

from assistant.chat_service import ChatService
from assistant.inspecting.heat import Heat
from assistant.inspecting.pieces import ALTERNATIVES
from assistant.reading import what_the_model_reads
from assistant.storage.rows import Message
from engine.questions import Attend, Attention, Inspect, Inspected


async def look(service: ChatService, message: Message) -> Inspected:
    """What the model reads before `message`, and how likely it finds it now; of a question, what it reads.

    `message` is on its chat's way. A reply whose tokens are no longer known is cut up anew from its text.

    Raises:
        EngineError, WorkerDied, StorageError.
    """
    store = service.store_of(message.chat)
    chat, history = store.chat(message.chat), store.history(message.chat)
    place = next((at for at, m in enumerate(history) if m.id == message.id), len(history))
    asked = message.role == "user"
    before, _ = what_the_model_reads(history[: place + asked], chat.system if chat else "")
    content = "" if asked else message.content
    tokens = service.records.tokens(message.id, content, service.model.path)
    limit = service.params_of(message.chat).max_tokens
    question = Inspect("", tuple(before), content, tokens, ALTERNATIVES, limit)
    return cast(Inspected, await service.client.ask(question))


async def attention(service: ChatService, tokens: tuple[int, ...], place: int) -> Heat:
    """What the token at `place` of a context looks at.

    Raises:
        EngineError, WorkerDied; ValueError for an answer that cannot be.
    """
    return Heat(cast(Attention, await service.client.ask(Attend("", tokens, place))))
