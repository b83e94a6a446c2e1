"""Small questions over the chat: a yes or no, and a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList

from assistant.screens.keys import spelt
from assistant.screens.list_dialog import ListDialog
from assistant.widgets.in_order import LineInput
from assistant.widgets.prompt import Prompt


class ConfirmScreen(ModalScreen[bool]):
    """Asks `question`; True when confirmed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "answer(False)", "No"),
        ("n", "answer(False)", "No"),
        ("y", "answer(True)", "Yes"),
    ]

    def __init__(self, question: str, yes: str, no: str = "Keep") -> None:
        super().__init__()
        self._question, self._yes, self._no = question, yes, no

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            with Horizontal(classes="buttons"):
                yield Button(f"{self._yes} (y)", variant="error", compact=True, id="yes")
                yield Button(f"{self._no} (n)", compact=True, id="no")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class ChoiceScreen(ListDialog[str | None]):
    """Asks which of `choices`; None when it was called off."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._question, self._choices = question, list(choices)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            yield OptionList(*self._choices, markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index])


class LineScreen(ModalScreen[str | None]):
    """Asks for a line of text, `value` to begin with; None when it was called off."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, value: str, max_length: int = 200) -> None:
        super().__init__()
        self._question, self._value, self._longest = question, value, max_length

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._question, markup=False)
            yield LineInput(self._value, max_length=self._longest)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip() or None)


class TextScreen(ModalScreen[str | None]):
    """Asks for a text of several lines, `value` to begin with; None when it was called off."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, value: str) -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Label(self._question, markup=False)
            yield Prompt(classes="text")
            send, newline = spelt(self, "prompt-send"), spelt(self, "prompt-newline")
            note = f"{send}: done · {newline}: new line · Esc: leave it as it was"
            yield Label(note, markup=False, classes="note")

    def on_mount(self) -> None:
        prompt = self.query_one(Prompt)
        prompt.fill(self._value)
        prompt.focus()

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        self.dismiss(event.text)
