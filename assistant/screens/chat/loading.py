"""LoadingScreen: what the chat's screen has to do with the model: loading it, saying how that went, taking another."""

from __future__ import annotations

from textual import work
from textual.widgets import Static

from assistant.chat_service import ChatService
from assistant.errors import AssistantError, StorageError
from assistant.models.background import Background
from assistant.models.shelf import Shelf
from assistant.screens.chat.live import Live
from assistant.screens.keys import spelt
from assistant.steady import SteadyScreen
from assistant.widgets.status import StatusLine
from engine.catalog import ModelInfo
from engine.errors import EngineError


class LoadingScreen(SteadyScreen):
    """Has a StatusLine, and a bar for warnings below the title."""

    def __init__(self, service: ChatService, shelf: Shelf, adding: Background, warning: str = "") -> None:
        super().__init__()
        self._service, self._shelf, self._adding, self._warning = service, shelf, adding, warning
        self._live: Live | None = None

    @work(group="load", exclusive=True)
    async def _load(self) -> None:
        try:
            await self._service.client.load()
        except (EngineError, AssistantError) as error:
            self.query_one(StatusLine).failed("the model could not be loaded")
            self._warn(f"{error} {spelt(self, 'models')} takes another model.")
        else:
            self._model_is_there()

    def _model_is_there(self) -> None:
        """Also after a failure: the engine is started again with the next question."""
        status, loaded = self.query_one(StatusLine), self._service.client.loaded
        if loaded is not None and not status.ready:
            status.loaded(loaded)
            self._warn(self._warning)

    def _warn(self, text: str) -> None:
        """Show `text` below the title until it is replaced."""
        bar = self.query_one("#warning", Static)
        bar.update(text)
        bar.display = bool(text)

    @work(group="models", exclusive=True)
    async def action_models(self) -> None:
        from assistant.screens.models import ModelsScreen

        in_use = self._service.model
        try:
            speeds = self._service.store.speeds()
        except StorageError:
            speeds = {}
        chosen = await self.app.push_screen_wait(ModelsScreen(self._shelf, self._adding, in_use, self._busy, speeds))
        if chosen is not None and chosen.path != in_use.path:
            await self.use(chosen)

    def _busy(self) -> str:
        """Why no other model can be taken now; "" when one can."""
        if self._live is None:
            return ""
        return f"A reply is being made. {spelt(self, 'stop')} stops it; then another model can be taken."

    async def use(self, model: ModelInfo) -> None:
        """Go on with `model`: it is loaded while one types, and answers the next question of every chat."""
        if why := self._busy():
            self.notify(why, severity="warning")
            return
        self.workers.cancel_group(self, "load")  # the one that nobody waits for any more
        await self._service.switch(model)
        self.query_one(StatusLine).waits_for(model.name)
        self._warn(self._warning)
        self._load()
