"""ChatScreen: the chat itself, put together from its parts; here is how it looks and begins."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.widgets import Static

from assistant.doorway import NARROW, SHORT
from assistant.screens.chat.on_inspect import OnInspect
from assistant.screens.chat.on_learning import OnLearning
from assistant.screens.chat.on_library import OnLibrary
from assistant.screens.chat.on_messages import OnMessages
from assistant.screens.chat.on_prompt import OnPrompt
from assistant.screens.keyed import Keyed
from assistant.screens.keys import APP_KEYS, CHAT_KEYS, MESSAGE_KEYS, PROMPT_KEYS
from assistant.settings import personas
from assistant.widgets.chat_list import ChatList
from assistant.widgets.completions import Completions
from assistant.widgets.in_order import LineInput
from assistant.widgets.key_line import KeyLine
from assistant.widgets.prompt import Prompt
from assistant.widgets.status import StatusLine
from assistant.widgets.transcript import Transcript

LOOK_SECONDS = 0.5  # between two looks at what other windows have written
SOON_SECONDS = 0.3  # after the first frame


class ChatScreen(Keyed[None], OnPrompt, OnInspect, OnMessages, OnLibrary, OnLearning):
    """One chat on screen, the others at the side."""

    BINDINGS: ClassVar[list[BindingType]] = [*CHAT_KEYS, Binding("escape", "to_prompt", show=False)]
    AUTO_FOCUS = "#prompt"  # from the first key on, which may have come before the first frame
    keys = (*CHAT_KEYS, *MESSAGE_KEYS)

    def compose(self) -> ComposeResult:
        self._fit_size(self.app.size)  # what would be known only after the first frame, and then styled anew
        with Horizontal():
            with Vertical(id="side"):
                yield LineInput(placeholder="Filter the chats", id="filter")
                yield ChatList(id="chats")
            with Vertical():
                yield Static("New chat", id="title", markup=False)
                yield Static("", id="warning", markup=False)
                yield Transcript()
                popup = Completions()
                yield popup
                yield Static("", id="cost", markup=False)
                yield Prompt(self._asked, popup, self.arguments, id="prompt")
        yield StatusLine(self._service.model.name)
        yield KeyLine()

    async def on_mount(self) -> None:
        try:
            self._warn(self._warning)
            self.prompt.configure(self.config)
            self.settings.renew()
            await self.open_chat(None)
            self.prompt.focus()
        finally:
            self.opened.set()
        self.set_interval(LOOK_SECONDS, self.look)
        self.call_after_refresh(self._load)  # the first frame is drawn before anything slow begins
        self.set_timer(SOON_SECONDS, self._prepare)

    @work(thread=True)
    def _prepare(self) -> None:
        """Import what the first reply and the first search need, while one reads and types."""
        import_module("assistant.widgets.reply")
        import_module("assistant.storage.migrations")

    def on_resize(self, event: events.Resize) -> None:
        self._fit_size(event.size)

    def _fit_size(self, size: Size) -> None:
        narrow, short = size.width < NARROW or not self._sidebar, size.height < SHORT
        self.update_classes({"-narrow": narrow, "-short": short, "-tall": not short}, animate=False)

    async def on_unmount(self) -> None:
        self.save_draft(leaving=True)

    def action_help(self) -> None:
        from assistant.screens.help import HelpScreen

        self.app.push_screen(HelpScreen([*PROMPT_KEYS, *CHAT_KEYS, *APP_KEYS], MESSAGE_KEYS))

    def action_settings(self) -> None:
        from assistant.screens.settings import SettingsScreen

        self.config.read()  # it may have been edited meanwhile
        names = list(personas.library(self._service.store))
        apply = getattr(self.app, "apply_settings", self.apply_settings)
        self.app.push_screen(SettingsScreen(self.config, names, apply))

    def apply_settings(self) -> None:
        """Have hold in this screen what the settings say."""
        self.prompt.configure(self.config)
        if self.chat is None and not self.transcript.last:
            self.settings.renew()
            self.refresh_list()
        self.refresh_bindings()

    def action_to_prompt(self) -> None:
        self.prompt.focus()

    def action_sidebar(self) -> None:
        self._sidebar = self.has_class("-narrow")
        self.toggle_class("-narrow")

    def action_light(self) -> None:
        self.app.theme = "homespun-light" if self.app.current_theme.dark else "homespun-dark"
