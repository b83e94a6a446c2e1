"""ChatBase: what the parts of the chat screen share: the service, the chat on screen, and how to find the widgets."""

from __future__ import annotations

import asyncio
from functools import cached_property

from textual.timer import Timer
from textual.worker import Worker

from assistant.chat_service import ChatService
from assistant.errors import StorageError
from assistant.learning.runs import Runs
from assistant.models.background import Background
from assistant.models.shelf import Shelf
from assistant.screens.chat.loading import LoadingScreen
from assistant.settings.chat_settings import ChatSettings
from assistant.settings.config import Config
from assistant.settings.sampling import Wishes
from assistant.storage.rows import Message, Removed
from assistant.storage.store import Store
from assistant.widgets.prompt import Prompt
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import Transcript


class ChatBase(LoadingScreen):
    """The state of the chat screen; its parts inherit from this and are put together in chat.py."""

    def __init__(
        self, service: ChatService, shelf: Shelf, adding: Background, config: Config, warning: str = ""
    ) -> None:
        super().__init__(service, shelf, adding, warning)
        self.config, self.settings = config, ChatSettings(service, config)
        self.opened = asyncio.Event()  # keys have somewhere to go
        self.chat: int | None = None
        self.temporary = False  # the chat on screen, or the next one, is never written
        self._replying: Worker[None] | None = None
        self._draft_timer: Timer | None = None
        self._draft = ""  # as of the last key
        self._count_timer: Timer | None = None
        self._unsaved_drafts: dict[int | None, str] = {}  # those the store would not take, by chat
        self._stored_drafts: dict[int | None, str] = {}  # as this window last saw or wrote them
        self._sidebar = config.flag("chat_list")
        self._archived = False  # the list shows the archive
        self._removed: list[Removed] = []  # what can be brought back, the last at the end

    @cached_property
    def runs(self) -> Runs:
        """The fine-tuning runs, which outlive this window."""
        return Runs(self._shelf.paths)

    @property
    def store(self) -> Store:
        """Where the chat on screen is kept."""
        return self._service.store_of(self.chat)

    @property
    def wishes(self) -> Wishes:
        """What the chat that is not begun yet wants of the model."""
        return self.settings.new

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def status(self) -> StatusLine:
        return self.query_one(StatusLine)

    def complain(self, error: Exception) -> None:
        self.notify(str(error), severity="error")

    def history(self) -> list[Message]:
        """The messages on screen, the reply that is being made with all it has."""
        if self.chat is None:
            return []
        try:
            messages = self.store.history(self.chat)
        except StorageError as error:
            self.complain(error)
            return []
        live, over = self._live, self._service.unsaved.over
        return [m._replace(content=live.text) if live and m.id == live.turn.reply else over(m) for m in messages]

    async def show(self, *, end: bool = True) -> None:
        """Bring the transcript up to date."""
        waiting = "…" if self._service.client.loaded else "The model is still loading; the reply follows."
        await self.transcript.show(self.chat, self.history(), waiting, end=end)
        self.refresh_bindings()

    def _asked(self) -> list[str]:
        """What was sent before, the newest first: for going back to it in the prompt."""
        try:
            return self.store.asked()
        except StorageError:
            return []

    async def carry_out(self, name: str, rest: str) -> None:
        raise NotImplementedError

    def refresh_list(self) -> None:
        raise NotImplementedError

    async def open_chat(self, chat: int | None) -> None:
        raise NotImplementedError
