"""The logs on screen: the app's and the engine's, their last lines, kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, TextArea

from assistant.logs import tail
from assistant.paths import homely

LOOK_SECONDS = 1.0
NAMES = ("homespun.log", "engine.log")


class LogScreen(ModalScreen[None]):
    """The logs in `folder`."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "dismiss(None)", "Close"), ("tab", "other", "The other log")]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._shown = folder, NAMES[0]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide logs"):
            yield Label("", markup=False, id="where")
            yield TextArea(read_only=True, soft_wrap=False, show_cursor=False, id="log")
            yield Label("Tab: the app's or the engine's log · Esc closes this", markup=False, classes="note")

    def on_mount(self) -> None:
        self.look()
        self.set_interval(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Show what has been added; the reader's place stays unless it was the end."""
        area, path = self.query_one("#log", TextArea), self._folder / self._shown
        self.query_one("#where", Label).update(homely(path))
        text = tail(path) or "Nothing has been logged."
        if text != area.text:
            at_end = area.scroll_y >= area.max_scroll_y
            area.load_text(text)
            if at_end:
                area.call_after_refresh(area.scroll_end, animate=False)

    def action_other(self) -> None:
        self._shown = NAMES[1 - NAMES.index(self._shown)]
        self.look()
