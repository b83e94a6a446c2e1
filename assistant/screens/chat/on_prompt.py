"""OnPrompt: the part of the chat screen around the prompt: what could complete a word, and what a message costs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual import on, work
from textual.widgets import OptionList, Static, TextArea

from assistant.errors import AssistantError, StorageError
from assistant.prompting.attaching import files_in
from assistant.screens.chat.base import ChatBase
from assistant.settings import personas
from assistant.widgets.completions import Completions
from assistant.widgets.prompt import Prompt
from assistant.widgets.welcome import Examples, Welcome
from engine.errors import EngineError

if TYPE_CHECKING:
    from assistant.prompting.costs import Cost, Pieces

COUNT_SECONDS = 0.3  # after the last key


class OnPrompt(ChatBase):
    """What is sent and drafted is elsewhere (replies.py, on_chats.py)."""

    def arguments(self) -> dict[str, list[str]]:
        """What the arguments of commands can be."""
        try:
            return {"persona": list(personas.library(self._service.store))}
        except StorageError:
            return {}

    def _asked(self) -> list[str]:
        """What was sent before, the newest first, without the files that went along."""
        return list(dict.fromkeys(files_in(text)[0] for text in super()._asked()))

    @on(OptionList.OptionSelected, "#completions")
    def _clicked(self) -> None:
        if offer := self.query_one(Completions).chosen:
            self.prompt.take(offer)
        self.prompt.focus()

    @on(Prompt.Left)
    def _to_examples(self) -> None:
        for examples in self.query(Examples):
            examples.focus()

    @on(Examples.Left)
    def _to_prompt(self) -> None:
        self.prompt.focus()

    @on(Welcome.Asked)
    def _ask_example(self, event: Welcome.Asked) -> None:
        """What is in the prompt stays there."""
        draft = self.prompt.draft
        self.prompt.focus()
        self.prompt.post_message(Prompt.Submitted(self.prompt, event.text, draft, typed=False))

    @on(TextArea.Changed, "#prompt")
    def _count_soon(self) -> None:
        if self._count_timer is not None:  # not one worker a key: two thousand keys may come at once
            self._count_timer.stop()
        self._count_timer = self.set_timer(COUNT_SECONDS, self._count)

    @work(group="count", exclusive=True)
    async def _count(self) -> None:
        """Say what the files and folds in the prompt cost; nothing where there are none."""
        from assistant.prompting.costs import Pieces, told

        line = self.query_one("#cost", Static)
        pieces = await asyncio.to_thread(Pieces.of, self.prompt.text, self.prompt.folds)
        if not pieces:
            line.display = False
            return
        costs, exact = await self._counted(pieces)
        loaded = self._service.client.loaded
        limit = loaded.context_length if loaded else self._service.model.context_length
        text, fits = told(costs, exact, limit)
        line.update(text)
        line.set_class(not fits, "-too-much")
        line.display = True

    async def _counted(self, pieces: Pieces) -> tuple[list[Cost], bool]:
        """What each piece costs; an estimate where the model is busy or not there yet."""
        from engine.questions import Count, Counts

        client = self._service.client
        if client.loaded is not None and not client.answering:
            try:
                answer = await client.ask(Count("", tuple(pieces.texts)))
                if isinstance(answer, Counts):
                    return pieces.costs(answer.tokens), True
            except (EngineError, AssistantError):
                pass  # the estimate does; whoever sends is told what is wrong
        return pieces.costs(None), False
