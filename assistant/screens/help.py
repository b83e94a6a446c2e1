"""Help, made from the bindings themselves, so that it cannot lie."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label

from assistant.screens.keys import key_name

INTRO = """\
Everything happens on this computer: no account, and no network unless you add a model from there. Chats are kept in \
one file here until you delete them. The command homespun ask "…" answers one question without this window."""
ON_MESSAGES = "In the messages (Tab from the prompt, or a click):"
TYPING = (
    ("Enter", "Send the message"),
    ("Ctrl+J", "New line in the message"),
    ("Tab", "Go to the chats, the messages, and back"),
)


class HelpScreen(ModalScreen[None]):
    """Lists `bindings`."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,f1,q", "dismiss(None)", "Close")]

    def __init__(
        self,
        bindings: Iterable[Binding],
        on_messages: Iterable[Binding] = (),
        intro: str = INTRO,
        typing: Iterable[tuple[str, str]] = TYPING,
    ) -> None:
        super().__init__()
        self._listed, self._on_messages = list(bindings), list(on_messages)
        self._intro, self._typing = intro, list(typing)

    def compose(self) -> ComposeResult:
        rows = [*self._typing, *map(_row, self._listed)]
        if self._on_messages:
            rows += [("", ON_MESSAGES), *map(_row, self._on_messages)]
        with VerticalScroll(classes="dialog wide"):
            yield Label(self._intro, markup=False)
            for key, what in rows:
                with Horizontal(classes="row"):
                    yield Label(key, markup=False, classes="key")
                    yield Label(what, markup=False, classes="what")
            yield Label("Esc closes this.", classes="note")


def _row(binding: Binding) -> tuple[str, str]:
    return key_name(binding), binding.tooltip or binding.description
