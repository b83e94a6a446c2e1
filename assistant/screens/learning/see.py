"""The preview: the data as the model will see it, what is left out and why, and what the run will cost."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.learning.looking import Preview, Row, previews
from assistant.learning.wording import cost_line, counts_line
from assistant.screens.keyed import Keyed
from assistant.screens.learning.keys import SEE_INTRO, SEE_KEYS
from assistant.widgets.key_line import KeyLine
from training.recipe_wish import Wish

SHOWN = 400  # rows in the list at once; the counts are of all
LEARNED, GIVEN, DROPPED = "bold $text-success", "$foreground 60%", "$text-warning"


class SeeScreen(Keyed[bool]):
    """True when the run is to start."""

    BINDINGS: ClassVar[list[BindingType]] = [*SEE_KEYS]
    keys, intro = SEE_KEYS, SEE_INTRO

    def __init__(self, wish: Wish, draft: Path) -> None:
        super().__init__()
        self._wish, self._draft = wish, draft
        self._preview = Preview()
        self._dropped = self._apart = False

    def compose(self) -> ComposeResult:
        yield Static("Preview: reading the data …", id="title", markup=False)
        yield OptionList(id="rows")
        yield Static("", id="problem", markup=False)
        yield Static("", id="estimate", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self._look()

    @work(exclusive=True)
    async def _look(self) -> None:
        cost = self.query_one("#estimate", Static)
        try:
            async with aclosing(previews(self._draft)) as found:
                async for preview in found:
                    self._preview = preview
                    self._head()
                    if preview.failed:
                        self._problem(preview.failed)
                    elif not preview.estimate:
                        self._fill()
                        if preview.summary:
                            cost.update("Timing a few real steps …")
        except AssistantError as error:
            self._problem(str(error))
        if self._preview.estimate:
            cost.update(cost_line(self._preview))
        elif not self._preview.failed:
            cost.update("")
        self._warn()

    def _problem(self, sentence: str) -> None:
        self._preview.failed = sentence
        self.query_one("#problem", Static).update(sentence)
        self.query_one("#estimate", Static).update("")
        self._head()

    def _warn(self) -> None:
        if not self._preview.failed:
            told = [*self._preview.summary.get("notes", ()), *self._preview.summary.get("warnings", ())]
            told += self._preview.estimate.get("warnings", ())
            self.query_one("#problem", Static).update("\n".join(told[:4]))

    def _head(self) -> None:
        title = self.query_one("#title", Static)
        if self._preview.failed:
            title.update("This cannot be learned yet")
        elif self._preview.summary:
            title.update(counts_line(self._preview))

    def _fill(self) -> None:
        rows = [row for row in self._preview.rows if row.problem or not self._dropped]
        options = self.query_one(OptionList)
        here = options.highlighted
        options.clear_options()
        options.add_options(Option(row_text(row, self._apart)) for row in rows[:SHOWN])
        if len(rows) > SHOWN:
            options.add_option(Option(Content.styled(f"… and {len(rows) - SHOWN} more", GIVEN), disabled=True))
        if rows:
            options.highlighted = min(here or 0, len(rows) - 1)

    def action_dropped(self) -> None:
        self._dropped = not self._dropped
        self._fill()

    def action_tokens(self) -> None:
        self._apart = not self._apart
        self._fill()

    def action_start(self) -> None:
        if not self._preview.failed and self._preview.summary:
            self.dismiss(True)

    @on(OptionList.OptionSelected)
    def _whole(self, event: OptionList.OptionSelected) -> None:
        """Enter does nothing here: rows are only looked at."""
        event.stop()


def row_text(row: Row, apart: bool = False) -> Content:
    """A row: where it is from, its tokens (coloured: learned; grey: given), and why it is left out."""
    head = f"{row.place}  {row.tokens} tokens" if row.tokens else row.place
    parts = [Content.styled(head, "bold")]
    if row.problem:
        parts.append(Content.styled(f"  left out: {row.problem}", DROPPED))
    if row.note:
        parts.append(Content.styled(f"  {row.note}", "italic"))
    parts.append(Content("\n"))
    for index, (part, learned) in enumerate(row.parts):
        if apart and index:
            parts.append(Content.styled("│", "$text-accent"))
        parts.append(Content.styled(part.replace("\n", "⏎ "), LEARNED if learned and not row.problem else GIVEN))
    return Content.assemble(*parts)
