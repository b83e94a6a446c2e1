"""Completions: the list above the prompt of what could complete the word at the cursor. The prompt keeps the focus."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from assistant.prompting.completing import Offer


class Completions(OptionList, can_focus=False):
    """Shown while there is something to offer. `moved` says whether one was chosen by the arrows."""

    def __init__(self) -> None:
        super().__init__(id="completions")
        self.offers: list[Offer] = []
        self.moved = False
        self.display = False

    def show(self, offers: Sequence[Offer]) -> None:
        """Offer these; none hides the list."""
        if list(offers) == self.offers:
            return
        self.offers, self.moved = list(offers), False
        self.clear_options()
        wide = max((len(offer.text) for offer in self.offers), default=0) + 2
        for offer in self.offers:
            line = Text(offer.text.ljust(wide), no_wrap=True, overflow="ellipsis")
            self.add_option(Option(line.append(offer.hint, style="dim")))
        self.highlighted = 0 if self.offers else None
        self.display = bool(self.offers)

    @property
    def chosen(self) -> Offer | None:
        place = self.highlighted
        return self.offers[place] if self.display and place is not None and place < len(self.offers) else None

    def move(self, by: int) -> None:
        if self.highlighted is not None and self.offers:
            self.highlighted = (self.highlighted + by) % len(self.offers)
            self.moved = True
