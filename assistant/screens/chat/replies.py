"""Replies: the part of the chat screen that sends, shows what comes, stops, and goes on."""

from __future__ import annotations

from contextlib import aclosing

from textual import on, work

from assistant.chat_service import Turn
from assistant.errors import AssistantError, StorageError
from assistant.prompting.attaching import with_files
from assistant.prompting.commands import read_command
from assistant.screens.chat.base import ChatBase
from assistant.screens.chat.live import Live
from assistant.screens.keys import spelt
from assistant.storage.rows import Message
from assistant.widgets.prompt import Prompt
from engine.errors import EngineError
from engine.protocol import Delta, Done, Started


class Replies(ChatBase):
    """One reply at a time."""

    @on(Prompt.Submitted, "#prompt")
    async def _submitted(self, event: Prompt.Submitted) -> None:
        try:
            if command := read_command(event.text):
                self._taken(event.draft)
                await self.carry_out(*command)
                return
            text = with_files(event.text)
        except AssistantError as error:
            now = self.prompt.draft
            self.prompt.fill(now if now.startswith(event.draft) else event.draft + now)
            self.notify(str(error), severity="warning", timeout=10)
            return
        if not self.may_begin():
            return
        try:
            turn = self._service.ask(self.chat, text, temporary=self.temporary, wishes=self.wishes, draft=event.draft)
        except (EngineError, StorageError) as error:  # what was typed stays in the prompt
            self.notify(str(error), severity="warning")
            return
        self._unsaved_drafts.pop(self.chat, None)
        if self.chat is None:
            self.settings.renew()
        self.chat = turn.chat
        if event.typed:
            self._taken(event.draft)
        else:
            self.prompt.fill(event.draft)
        await self.begin(turn, event.draft if event.typed else event.text)

    def _taken(self, draft: str) -> None:
        """Clear the prompt of `draft`; keys that came right after Enter stay in it."""
        now = self.prompt.draft
        self.prompt.fill(now[len(draft) :] if now.startswith(draft) else "")

    def may_begin(self) -> bool:
        """Whether a reply can be begun here; says why where it cannot."""
        if self._live is not None:
            self.notify(f"A reply is being made. {spelt(self, 'stop')} stops it; your text stays where it is.")
            return False
        if any(m.status == "streaming" for m in self.history()):
            self.notify("A reply is being made in this chat in another window; your text stays where it is.")
            return False
        return True

    async def begin(self, turn: Turn, asked: str = "") -> None:
        """Have the reply to `turn` made and shown."""
        self._live = Live(turn, asked, turn.begun)
        self._replying = self._reply(self._live)
        self.refresh_bindings()
        await self.show()
        self.refresh_list()

    @work(group="reply")
    async def _reply(self, live: Live) -> None:
        problem = ""
        try:
            async with aclosing(self._service.reply(live.turn)) as events:
                async for event in events:
                    if isinstance(event, Started):
                        self._model_is_there()
                        if self.chat == live.turn.chat:
                            self.status.started(event)
                    elif isinstance(event, Delta):
                        live.text += event.text
                        if (view := self.transcript.reply(live.turn.reply)) is not None:
                            view.grow(live.text)
                    elif isinstance(event, Done) and self.chat == live.turn.chat:
                        self.status.done(event)
        except (EngineError, AssistantError) as error:
            problem = str(error)
        finally:  # also when it was called off
            self._live = None
            self.refresh_bindings()
            self.call_later(self._ended, live, problem)

    async def _ended(self, live: Live, problem: str) -> None:
        self._service.entitle(live.turn.chat)
        if self.chat == live.turn.chat:
            await self.show(end=False)
        self.refresh_list()
        if not problem:
            return
        if (view := self.transcript.reply(live.turn.reply)) is not None:
            view.note(problem, error=True)
        self.notify(problem, severity="error", timeout=12)
        if live.asked and not live.text:
            self._give_back(live)

    def _give_back(self, live: Live) -> None:
        """A question that got no word in reply goes back to be changed and sent again."""
        chat, store = live.turn.chat, self._service.store_of(live.turn.chat)
        try:
            if self.chat == chat and not self.prompt.text:
                self.prompt.fill(live.asked)
            elif self.chat != chat and not store.draft(chat):
                store.save_draft(chat, live.asked)
        except StorageError as error:
            self.complain(error)

    async def action_stop(self) -> None:
        if self._service.client.answering:
            await self._service.stop()
        elif self._replying is not None and self._live is not None:
            self._replying.cancel()  # still waiting for the model to load; `_reply` shows what became of it

    async def action_again(self) -> None:
        message = self.transcript.message
        if self.chat is None or message is None or not self.may_begin():
            return
        try:
            turn = self._service.ask_again(self.chat, message.id)
        except StorageError as error:
            self.complain(error)
            return
        await self.take_up(turn)

    async def take_up(self, turn: Turn | None) -> None:
        """Begin a turn that stands in the place of another; None where that is gone."""
        if turn is not None:
            self.transcript.select(None)
            await self.begin(turn)

    async def action_continue(self) -> None:
        message = self.transcript.message
        if message is None or not self.can_continue(message) or not self.may_begin():
            return
        try:
            turn = self._service.resume(message)
        except StorageError as error:
            self.complain(error)
            return
        await self.begin(turn)

    def can_continue(self, message: Message) -> bool:
        """A reply at the chat's end that has words and did not end by itself."""
        last = self.transcript.last
        early = message.status in ("stopped", "failed") or message.finish == "length"
        return (
            early
            and message.role == "assistant"
            and bool(message.content)
            and last is not None
            and last.id == message.id
        )
