"""The review of feedback or corrections: exactly what would be used, one by one, each of which can be left out."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.learning.reviewing import Choice, Reviewed
from assistant.screens.keyed import Keyed
from assistant.screens.learning.keys import REVIEW_INTRO, REVIEW_KEYS
from assistant.text import printable
from assistant.widgets.key_line import KeyLine

LEFT_OUT = "$foreground 60%"
COLOURS = {"": "", "green": "$text-success", "red": "$text-error"}


class ReviewScreen(Keyed[set[str]]):
    """Ends with the keys of those that are to be left out."""

    BINDINGS: ClassVar[list[BindingType]] = [*REVIEW_KEYS]
    keys, intro = REVIEW_KEYS, REVIEW_INTRO

    def __init__(self, source: Reviewed, left_out: set[str]) -> None:
        super().__init__()
        self._source, self._out = source, set(left_out)
        self._choices = source.choices()

    def compose(self) -> ComposeResult:
        yield Static("", id="title", markup=False)
        yield OptionList(*(Option(choice_text(c, c.key not in self._out)) for c in self._choices), id="rows")
        yield KeyLine()

    def on_mount(self) -> None:
        self._head()
        self.query_one(OptionList).focus()

    def _head(self) -> None:
        self.query_one("#title", Static).update(self._source.summary(self._out))

    @on(OptionList.OptionSelected)
    def action_use(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted
        if at is None:
            return
        choice = self._choices[at]
        self._out ^= {choice.key}
        options.replace_option_prompt_at_index(at, choice_text(choice, choice.key not in self._out))
        self._head()

    def action_done(self) -> None:
        self.dismiss(self._out)


def choice_text(choice: Choice, used: bool) -> Content:
    """Whether it is used, where it comes from, and what it says."""
    head = Content.styled("✓ used" if used else "· left out", "bold $text-success" if used else "bold $text-warning")
    parts = [head, Content.styled(f"  {choice.why}\n", LEFT_OUT)]
    for sign, words, colour in choice.lines:
        style = COLOURS[colour] if used else LEFT_OUT
        parts += [Content.styled(f"{sign} ", "bold"), Content.styled(f"{printable(words)[:600]}\n", style)]
    return Content.assemble(*parts)
