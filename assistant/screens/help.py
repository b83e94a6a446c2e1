"""Help, made from the bindings themselves, so that it cannot lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label

from assistant.prompting.commands import COMMANDS
from assistant.screens.bindings import listed

INTRO = """\
Everything happens on this computer: no account, and no network unless you add a model from there. Chats are kept in \
one file here until you delete them. The command homespun ask "…" answers one question without this window."""
ON_MESSAGES = "In the messages (Tab from the prompt, or a click):"
# What is no binding of ours: moving between the parts, and what may be typed.
SHORT_OF_KEYS = (
    ("Tab", "Go to the chats, the messages, and back"),
    ("↑", "In the first line of the prompt: what was sent before"),
    ("@FILE", "Send a text file along; Tab completes its name"),
    ("/", "A command; Tab completes its name:"),
)


class HelpScreen(ModalScreen[None]):
    """Lists keys and what they do; below them the commands, then the keys of the messages."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,q,enter", "dismiss(None)", "Close")]

    def __init__(
        self,
        bindings: Iterable[Binding],
        on_messages: Iterable[Binding] = (),
        intro: str = INTRO,
        typing: Iterable[tuple[str, str]] = SHORT_OF_KEYS,
    ) -> None:
        super().__init__()
        self._intro, self._keys, self._on_messages, self._typing = intro, bindings, on_messages, typing

    def _rows(self) -> list[tuple[str, str]]:
        keymap = getattr(self.app, "keymap", {})
        rows = [*listed(self._keys, keymap), *self._typing]
        if messages := listed(self._on_messages, keymap):  # it is about the chat
            rows += [(f"/{name}", what[:1].upper() + what[1:]) for name, (_, what) in COMMANDS.items()]
            rows += [("", ""), ("", ON_MESSAGES), *messages]
        return rows

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog wide help"):
            yield Label(self._intro, markup=False)
            for key, what in self._rows():
                with Horizontal(classes="row"):
                    yield Label(key, markup=False, classes="key")
                    yield Label(what, markup=False, classes="what")
            yield Label("Esc closes this.", classes="note")
