"""Help, made from the bindings themselves, so that it cannot lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Markdown

INTRO = """\
# Help

Everything happens on this computer: no account, no network. Chats are kept in one file on this machine
until you delete them. `homespun ask "…"` answers one question without this window.

| Key | What it does |
|---|---|
"""
TYPING = (("Enter", "Send the message"), ("Ctrl+J", "New line in the message"), ("Tab", "Go to the chats and back"))


class HelpScreen(ModalScreen[None]):
    """Lists `bindings`."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,q", "dismiss(None)", "Close")]

    def __init__(self, bindings: Iterable[Binding]) -> None:
        super().__init__()
        self._listed = list(bindings)

    def compose(self) -> ComposeResult:
        rows = [*TYPING, *((_key(b.key), b.tooltip or b.description) for b in self._listed)]
        table = "\n".join(f"| {key} | {what} |" for key, what in rows)
        with VerticalScroll(classes="dialog wide"):
            yield Markdown(INTRO + table, open_links=False)


def _key(key: str) -> str:
    names = {"escape": "Esc", "ctrl": "Ctrl", "shift": "Shift"}
    return "+".join(names.get(part, part.upper()) for part in key.split(",")[0].split("+"))
