"""PathScreen: asks for a file or folder, completing what is typed; the candidates are listed below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from assistant.prompting.path_completion import candidates, completed
from assistant.screens.list_dialog import ListDialog
from assistant.widgets.in_order import LineInput


class PathInput(LineInput):
    """Tab completes. A binding of the screen's would overtake the letters that were typed before it."""

    class Tab(Message):
        """Tab was pressed behind `typed`."""

        def __init__(self, typed: str) -> None:
            super().__init__()
            self.typed = typed

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "tab":
            event.stop()
            event.prevent_default()
            self.post_message(self.Tab(self.value))
        else:
            await super()._on_key(event)


class PathScreen(ListDialog[str | None]):
    """The path, as it was typed; None when it was called off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("down", "list", "Candidates"),
    ]

    def __init__(self, question: str, endings: Sequence[str] = (), value: str = "") -> None:
        super().__init__()
        self._question, self._endings, self._value = question, endings, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Label(self._question, markup=False)
            yield PathInput(self._value, placeholder="path of a file or folder", max_length=4096)
            yield OptionList(markup=False)
            yield Label("Tab: complete · ↓: the list · Enter: open · Esc: back", markup=False, classes="note")

    def on_mount(self) -> None:
        self._list(self._value)
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, typed: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(name) for name in candidates(typed, self._endings))
        self.fit()

    @on(PathInput.Tab)
    def _complete(self, event: PathInput.Tab) -> None:
        typed = event.typed
        self._fill(completed(typed, self._endings) if typed else typed)

    def action_list(self) -> None:
        options = self.query_one(OptionList)
        if options.option_count:
            options.focus()
            options.highlighted = options.highlighted or 0

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        name = str(event.option.prompt)
        self._fill(name)
        if not name.endswith("/"):
            self.dismiss(name)

    def _fill(self, path: str) -> None:
        field = self.query_one(Input)
        field.value = path
        field.cursor_position = len(path)
        field.focus()

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)
