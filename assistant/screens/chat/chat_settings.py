"""ChatSettingsScreen: what one chat wants of the model. PersonasScreen: the library of personas, to take and change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from assistant.chat_service import ChatService
from assistant.errors import AssistantError
from assistant.screens.dialogs import LineScreen, TextScreen
from assistant.screens.keys import spelt
from assistant.screens.list_keys import PERSONA_KEYS
from assistant.screens.rows import Row, RowsScreen
from assistant.settings import personas
from assistant.settings.chat_settings import ChatSettings
from assistant.settings.sampling import SETTINGS
from assistant.storage.store import Store


class ChatSettingsScreen(RowsScreen[None]):
    """Changes hold for the next reply; one that is being made is not touched."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("delete,backspace", "reset", "The model's own")]
    heading = "This chat"
    end = "Enter: change · Delete: as the model has it · Esc: close"

    def __init__(self, settings: ChatSettings, service: ChatService, chat: int | None) -> None:
        super().__init__()
        self._settings, self._service, self._chat = settings, service, chat

    def rows(self) -> Sequence[Row]:
        model = self._service.model.name
        wanted = self._settings.wanted(self._chat)
        persona = self._settings.persona(self._chat) or ("own words" if wanted.system else "none")
        values = self._settings.values(self._chat)
        return [
            Row("persona", "Persona", persona, "a named instruction; Enter shows the library"),
            Row("system", "Instruction", wanted.system or "none", "what the model is told before the chat"),
            *(Row(v.name, SETTINGS[v.name][0], v.told, SETTINGS[v.name][1]) for v in values),
            Row(
                "default",
                f"Make this the default for {model}",
                tells=f"for all chats with {model} without own settings",
            ),
            Row("forget", f"Give {model} its own settings back", tells="chats with settings of their own keep them"),
        ]

    @work
    async def _change(self, row: str) -> None:
        try:
            await self._ask(row)
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self.fill()

    async def _ask(self, row: str) -> None:
        if row == "persona":
            await self.app.push_screen_wait(PersonasScreen(self._settings, self._service.store, self._chat))
        elif row == "system":
            words = self._settings.wanted(self._chat).system
            text = await self.app.push_screen_wait(TextScreen("What the model is told before the chat", words))
            if text is not None:
                self._settings.instruct(self._chat, text.strip())
        elif row in SETTINGS:
            title, tells = SETTINGS[row]
            now = self._settings.wanted(self._chat).params.get(row, "")
            text = await self.app.push_screen_wait(LineScreen(f"{title}: {tells}", str(now), 20))
            if text is not None:
                self._settings.set(self._chat, row, text)
        else:
            said = self._settings.make_default(self._chat) if row == "default" else self._settings.forget_default()
            self.notify(said)

    async def chosen(self, row: str) -> None:
        self._change(row)

    def action_reset(self) -> None:
        row = self.current
        try:
            if row in SETTINGS:
                self._settings.set(self._chat, row, "")
            elif row in ("persona", "system"):
                self._settings.instruct(self._chat, "")
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self.fill()


class PersonasScreen(RowsScreen[None]):
    """Enter has the chat take the persona. Built-in ones come back when one's own version of them is deleted."""

    BINDINGS: ClassVar[list[BindingType]] = [*PERSONA_KEYS]
    heading = "Personas"
    wide = 16

    def __init__(self, settings: ChatSettings, store: Store, chat: int | None) -> None:
        super().__init__()
        self._settings, self._store, self._chat = settings, store, chat

    def note(self) -> str:
        new, edit, delete = (spelt(self, f"personas-{name}") for name in ("add", "edit", "forget"))
        return f"Enter: take · {new}: new · {edit}: edit · {delete}: delete · Esc: close"

    def rows(self) -> Sequence[Row]:
        own = self._store.personas()
        listed = personas.library(self._store).items()
        return [
            Row("", "None", "the model is told nothing before the chat"),
            *(Row(name, name + (" *" if name in own else ""), text, _origin(name, own)) for name, text in listed),
        ]

    async def chosen(self, row: str) -> None:
        try:
            if row:
                self._settings.take_persona(self._chat, row)
            else:
                self._settings.instruct(self._chat, "")
        except AssistantError as error:
            self.notify(str(error), severity="warning")
            return
        self.dismiss(None)

    @work
    async def action_add(self) -> None:
        if name := await self.app.push_screen_wait(LineScreen("A name for the persona", "", personas.LONGEST_NAME)):
            await self._write(name, "")

    @work
    async def action_edit(self) -> None:
        if name := self.current:
            await self._write(name, personas.library(self._store)[name])

    async def _write(self, name: str, words: str) -> None:
        text = await self.app.push_screen_wait(TextScreen(f"What {name} tells the model", words))
        if text is None:
            return
        try:
            personas.save(self._store, name, text)
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self.fill(name)

    def action_forget(self) -> None:
        name = self.current
        if name not in self._store.personas():
            self.notify("Only personas of your own, marked *, can be deleted.")
            return
        try:
            self._store.forget_persona(name)
        except AssistantError as error:
            self.notify(str(error), severity="warning")
        self.fill()


def _origin(name: str, own: dict[str, str]) -> str:
    if name not in personas.BUILT_IN:
        return "your own"
    return "your version of a built-in one; Delete brings that back" if name in own else "built in"
