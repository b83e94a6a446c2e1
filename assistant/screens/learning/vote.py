"""Blind voting: two replies without names, one after the other; which is which is said at the end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from assistant.screens.keys import spelt
from assistant.screens.learning.keys import VOTE_KEYS
from assistant.text import printable

Tally = tuple[int, int, int]  # for the old model, the new one, neither


class VoteScreen(ModalScreen[Tally | None]):
    """The tally, also of fewer votes when it is left early; None without any."""

    BINDINGS: ClassVar[list[BindingType]] = [*VOTE_KEYS]

    def __init__(self, pairs: Sequence[dict[str, Any]], chance: random.Random | None = None) -> None:
        super().__init__()
        self._pairs, self._at = list(pairs), 0
        self._new = [(chance or random.Random()).randrange(2) for _ in pairs]  # where the new model's reply stands
        self._tally = [0, 0, 0]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Label("", id="prompt-voted", markup=False)
            for reply in ("reply-a", "reply-b"):
                with VerticalScroll(classes="voted", can_focus=False):
                    yield Static("", id=reply, markup=False)
            a, b, neither, end = (spelt(self, f"vote-{name}") for name in ("a", "b", "neither", "end"))
            note = f"{a}: A is better · {b}: B is better · {neither}: neither · {end}: enough"
            yield Label(note, markup=False, classes="note")

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        if self._at >= len(self._pairs):
            self.action_end()
            return
        pair, new = self._pairs[self._at], self._new[self._at]
        replies = [pair["before"], pair["after"]] if new else [pair["after"], pair["before"]]
        head = f"{self._at + 1} of {len(self._pairs)}: {printable(str(pair['prompt']))}"
        self.query_one("#prompt-voted", Label).update(head)
        self.query_one("#reply-a", Static).update(f"A  {printable(str(replies[0]))}")
        self.query_one("#reply-b", Static).update(f"B  {printable(str(replies[1]))}")

    def action_vote(self, choice: int) -> None:
        if self._at < len(self._pairs):
            self._tally[2 if choice == 2 else int(choice == self._new[self._at])] += 1
            self._at += 1
            self._show()

    def action_end(self) -> None:
        old, new, same = self._tally
        self.dismiss((old, new, same) if sum(self._tally) else None)
