"""HomespunApp: puts paths, store, engine and screen together, and takes them apart again at the end."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.color import Color
from textual.command import CommandPalette
from textual.constants import TEXTUAL_ANIMATIONS
from textual.screen import Screen

from assistant import doorway, logs
from assistant.chat_service import ChatService
from assistant.engine_client import EngineClient
from assistant.errors import SettingsError
from assistant.models.background import Background
from assistant.models.shelf import Shelf
from assistant.paths import find_paths
from assistant.prompting import pastes
from assistant.prompting.commands import COMMANDS
from assistant.screens.bindings import key_name
from assistant.screens.chat.screen import SOON_SECONDS, ChatScreen
from assistant.screens.keys import APP_KEYS
from assistant.settings.config import Config
from assistant.settings.themes import DARK, LIGHT
from assistant.steady import SteadyApp
from assistant.storage.opening import open_store
from assistant.version import __version__

SCREENS_CSS = Path(__file__).with_name("screens") / "screens.tcss"
OPENING_SECONDS = 5.0  # that keys wait for the chat's prompt
MUTED = 0.45  # of the foreground, in what is faint
TERMINAL_SECONDS = 2.0  # between two looks whether the terminal is still there


def _terminal() -> bool:
    return sys.__stdin__ is not None and sys.__stdin__.isatty()


class HomespunApp(SteadyApp):
    """The chat in the terminal.

    Args:
        model: a model's name or the path of its folder; the bundled one where it is None.
        device: auto, cpu, cuda or mps.
        data_dir: where chats are kept; the system's place where it is None.
        command: how the engine worker is started, for tests.
        precision: of the weights: auto, fp32, bf16, int8 or int4.
        compile: decode by CUDA graphs where there is CUDA.

    Raises:
        ModelFolderError: there is no such model.
    """

    TITLE = "homespun"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    VERTICAL_BREAKPOINTS = [(0, "-short"), (doorway.SHORT, "-tall")]  # noqa: RUF012 - rows; mypy takes Textual's own for no ClassVar
    BINDINGS: ClassVar[list[BindingType]] = [*APP_KEYS]

    def __init__(
        self,
        model: str | None = None,
        device: str = "auto",
        data_dir: Path | None = None,
        command: Sequence[str] | None = None,
        precision: str = "auto",
        compile: bool = False,
    ) -> None:
        pastes.install()
        super().__init__()
        paths = self.paths = find_paths(data_dir)
        self.config = Config(paths.config)
        self.shelf = Shelf(paths)
        self.adding = Background(self.shelf, self._tell)
        info, note = (self.shelf.find(model), "") if model else self.shelf.default()
        self.store, warning = open_store(paths)
        self.keymap, clashes = self._wanted_keys()
        sentences = (warning, note, *self.config.warnings, *clashes)
        self._warning = " ".join(sentence for sentence in sentences if sentence)
        logs.begin(paths.logs)
        logs.LOG.info("homespun %s begins. %s", __version__, self._warning)
        log = paths.engine_log if not warning else None
        client = EngineClient(info.path, device, command, log, precision=precision, compile=compile)
        self.service = ChatService(self.store, client, info)
        self.service.refresher.tell = self._tell
        self.service.librarian.tell = lambda said: self._tell(said, False)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = self._wanted_theme()
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled = False

    async def on_mount(self) -> None:
        if not self.is_headless and self._driver is not None:
            doorway.hand_over(self._driver, self.paths.looks)
        self._had_terminal = not self.is_headless and _terminal()
        self.set_interval(TERMINAL_SECONDS, self._terminal_gone)
        self.set_timer(SOON_SECONDS, self._dress)
        self.apply_settings()
        self.theme_changed_signal.subscribe(self, lambda theme: self._remember_theme(theme.name))
        if isinstance(self.screen, ChatScreen):
            with suppress(TimeoutError):  # keys that came before would be lost
                await asyncio.wait_for(self.screen.opened.wait(), OPENING_SECONDS)
        if not self.is_headless:
            self._end_by_signals()

    def _end_by_signals(self) -> None:
        """End by SIGINT and SIGTERM as by a key; not before now, where half of the window stands and fails at it."""
        with suppress(NotImplementedError):  # Windows
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        if doorway.told():
            self.exit()

    def get_default_screen(self) -> Screen[None]:
        return ChatScreen(self.service, self.shelf, self.adding, self.config, self._warning)

    def push_screen(self, *screen: Any, **options: Any) -> Any:
        """As Textual's; whatever else may open has its looks by then."""
        self._dress()
        return super().push_screen(*screen, **options)

    def _dress(self) -> None:
        """Read the looks of the other screens: not needed by the first frame, which comes sooner so."""
        if not self.stylesheet.has_source(str(SCREENS_CSS)):
            self.stylesheet.read(SCREENS_CSS)
            self.stylesheet.parse()

    def refresh_css(self, animate: bool = True) -> None:
        """As Textual's, which reads all styles anew; not at the start, where they have the colours already."""
        if self._styled:
            super().refresh_css(animate)
        else:
            self._styled = True
            self.stylesheet.update(self, animate=animate)

    def _terminal_gone(self) -> None:
        """End where the terminal is gone and nobody was told (SIGHUP is ignored): Textual would read on for ever."""
        if self._had_terminal and not _terminal():
            logs.LOG.warning("The terminal is gone.")
            self.exit()

    def apply_settings(self) -> None:
        """Have hold what the settings say."""
        self.theme = self._wanted_theme()
        self.animation_level = "none" if self.config.flag("reduced_motion") else TEXTUAL_ANIMATIONS
        self.keymap, _ = self._wanted_keys()
        self.set_keymap(self.keymap)
        for screen in self.screen_stack:
            if isinstance(screen, ChatScreen) and screen.is_mounted:
                screen.apply_settings()

    def _wanted_keys(self) -> tuple[dict[str, str], list[str]]:
        """The keys that the settings give to things otherwise, and what is wrong with others."""
        if not self.config.keys:
            return {}, []
        from assistant.screens.places import usable

        return usable(self.config.keys)

    def _wanted_theme(self) -> str:
        wanted = self.config.get("theme") if self.config.has("theme") else self.store.setting("theme", DARK.name)
        return str(wanted) if wanted in self.available_themes else DARK.name

    def _remember_looks(self) -> None:
        colours = {name: self.theme_variables[name] for name in ("background", "surface", "panel", "primary")}
        muted = Color.parse(colours["background"]).blend(Color.parse(self.theme_variables["foreground"]), MUTED)
        doorway.remember(self.paths.looks, self.config.flag("chat_list"), muted=muted.hex, **colours)

    async def on_unmount(self) -> None:
        self._remember_looks()
        await self.adding.close()
        await self.service.refresher.close()
        await self.service.client.close()
        self.store.close()
        logs.LOG.info("homespun ends.")
        logs.end()

    def _tell(self, sentence: str, failed: bool) -> None:
        self.notify(sentence, severity="error" if failed else "information", timeout=12)

    def _remember_theme(self, name: str) -> None:
        from assistant.screens.rows import PickScreen

        if isinstance(self.screen, PickScreen) or name == self.config.get("theme"):
            return  # only being looked at
        try:
            self.config.set("theme", name)
        except SettingsError as error:
            self.notify(str(error), severity="warning")

    def action_command_palette(self) -> None:
        """As Textual's, which opens a second one where the first is below another screen, and fails at its name."""
        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):
            super().action_command_palette()

    def action_logs(self) -> None:
        from assistant.screens.logs import LogScreen

        self.push_screen(LogScreen(self.paths.logs))

    def get_system_commands(self, screen: Screen) -> Iterable[SystemCommand]:
        """Everything that has a key, the commands of the prompt, and Textual's own."""
        yield from super().get_system_commands(screen)
        yield SystemCommand("Show the logs", "The app's and the engine's", self.action_logs)
        if isinstance(screen, ChatScreen):
            yield SystemCommand("Import chats", "From an archive, ChatGPT or llm", screen.action_import)
            yield SystemCommand("Export", "Everything to an archive, or this chat to a file", screen.action_export)
        commands = getattr(screen, "commands", None)  # the screens with keys of their own have it
        for binding in commands() if commands is not None else ():

            async def run(action: str = binding.action) -> None:
                await screen.run_action(action)

            yield SystemCommand(binding.tooltip or binding.description, key_name(binding, self.keymap), run)
        if isinstance(screen, ChatScreen):
            for name, (argument, what) in COMMANDS.items():
                yield SystemCommand(f"/{name} {argument}".strip(), what, partial(screen.begin_command, name))


def run(model: str | None, device: str, data_dir: Path | None, precision: str, compile: bool) -> None:
    """Open the chat; returns when it is closed."""
    gc.freeze()  # what has been imported stays; collecting what does not would look through it each time
    gc.enable()
    app = HomespunApp(model, device, data_dir, precision=precision, compile=compile)
    doorway.keep_signals()
    app.run()
