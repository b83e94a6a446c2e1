"""Welcome: what an empty chat shows: four lines about what this is, and three examples to press Enter on."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList, Static

from assistant.screens.keys import spelt

# What the bundled model is good at: a question about itself, one about the world, something to write.
EXAMPLES = ("Hello! Who are you?", "Why is the sky blue?", "Write a birthday message for my sister.")
LINES = """\
homespun, a small chat assistant made at home.
Private and offline: all stays on this computer.
I answer simple things; do not trust my facts.
{send} sends · {newline} new line · {help} help"""


class Examples(OptionList):
    """Three questions; Enter or a click asks one, Up from the first goes back to the prompt."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", show=False)]

    class Left(Message):
        """Back to the prompt."""

    def __init__(self) -> None:
        super().__init__(*EXAMPLES, id="examples", markup=False)

    def on_focus(self) -> None:
        if self.highlighted is None:
            self.highlighted = 0

    def on_blur(self) -> None:
        self.highlighted = None

    def action_cursor_up(self) -> None:
        if self.highlighted in (0, None):
            self.post_message(self.Left())
        else:
            super().action_cursor_up()

    def action_back(self) -> None:
        self.post_message(self.Left())


class Welcome(Vertical):
    """In the place of the messages while there is none."""

    class Asked(Message):
        """An example was chosen."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(id="welcome-box")

    def compose(self) -> ComposeResult:
        keys = {name: spelt(self, full) for name, full in KEYS.items()}
        yield Static(LINES.format(**keys), markup=False, id="welcome")
        yield Examples()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Asked(EXAMPLES[event.option_index]))

    def on_click(self, event: events.Click) -> None:
        event.stop()


KEYS = {"send": "prompt-send", "newline": "prompt-newline", "help": "help"}
