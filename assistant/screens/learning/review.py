"""The review of feedback: exactly what would be used, pair by pair, each of which can be left out."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static
from textual.widgets.option_list import Option

from assistant.learning.feedback import Feedback, Pair
from assistant.text import printable


class ReviewScreen(Screen[set[str]]):
    """Ends with the keys of the pairs that are to be left out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Done"),
        Binding("space", "use", "Use / leave out"),
    ]

    def __init__(self, feedback: Feedback, left_out: set[str]) -> None:
        super().__init__()
        self._feedback, self._out = feedback, set(left_out)
        self._pairs = feedback.pairs()

    def compose(self) -> ComposeResult:
        yield Static("", id="title", markup=False)
        yield OptionList(*(Option(pair_text(p, p.key not in self._out)) for p in self._pairs), id="rows")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._head()
        self.query_one(OptionList).focus()

    def _head(self) -> None:
        self.query_one("#title", Static).update(self._feedback.summary(self._out))

    @on(OptionList.OptionSelected)
    def action_use(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted
        if at is None:
            return
        pair = self._pairs[at]
        self._out ^= {pair.key}
        options.replace_option_prompt_at_index(at, pair_text(pair, pair.key not in self._out))
        self._head()

    def action_done(self) -> None:
        self.dismiss(self._out)


def pair_text(pair: Pair, used: bool) -> Text:
    """A pair in four lines: whether it is used, the question, the better and the worse reply."""
    text = Text("✓ used" if used else "· left out", style="bold green" if used else "yellow")
    text.append(f"  {pair.why}\n", style="dim")
    style = "" if used else "dim"
    for sign, words, colour in (("?", pair.question, ""), ("+", pair.chosen, "green"), ("−", pair.rejected, "red")):
        text.append(f"{sign} ", style="bold").append(f"{printable(words)[:600]}\n", style=style or colour)
    return text
