"""After a run: numbers before and after, warnings, the replies of old and new model side by side; adopt it or not."""

from __future__ import annotations

import random
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from assistant.errors import AssistantError
from assistant.learning.looking import Child
from assistant.learning.runs import Run
from assistant.learning.wording import number
from assistant.models.shelf import Shelf
from assistant.screens.keyed import Keyed
from assistant.screens.learning.keys import RESULT_INTRO, RESULT_KEYS
from assistant.screens.learning.vote import VoteScreen
from assistant.text import printable
from assistant.widgets.in_order import LineInput
from assistant.widgets.key_line import KeyLine
from engine.errors import ModelFolderError


class ResultScreen(Keyed[bool]):
    """True when the model is to be adopted."""

    BINDINGS: ClassVar[list[BindingType]] = [*RESULT_KEYS]
    keys, intro = RESULT_KEYS, RESULT_INTRO

    def __init__(self, run: Run, shelf: Shelf, adopted: bool) -> None:
        super().__init__()
        self._run, self._shelf, self._adopted = run, shelf, adopted
        self._replies = [dict(row) for row in run.result.get("replies", [])]
        self._child: Child | None = None

    def compose(self) -> ComposeResult:
        name = self._run.wish.name
        yield Static(f"{name} is done" + (" and adopted" if self._adopted else ""), id="title", markup=False)
        with VerticalScroll(id="result"):
            yield Static("", id="rows")
            yield Static(warnings_text(self._run), id="warnings", markup=False)
            yield Static("", id="replies")
        if self._can_ask:
            yield LineInput(placeholder="Ask both models something", id="ask", compact=True)
        yield KeyLine()

    @property
    def _can_ask(self) -> bool:
        return self._run.wish.kind not in ("labels", "scratch", "spam")

    def on_mount(self) -> None:
        self.query_one("#result").focus()
        self._fill()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._fill())

    def _fill(self) -> None:
        """The tables, in the colours of the theme."""
        colours = self.app.theme_variables
        good, bad = colours["success"], colours["warning"]
        self.query_one("#rows", Static).update(numbers_table(self._run, good, bad))
        self.query_one("#replies", Static).update(replies_table(self._replies, good))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._replies) if action == "vote" and self._can_ask else action != "vote"

    def action_adopt(self) -> None:
        self.dismiss(True)

    @work
    async def action_vote(self) -> None:
        pairs = [r for r in self._replies if r["before"] != r["after"]]
        random.shuffle(pairs)
        tally = await self.app.push_screen_wait(VoteScreen(pairs))
        if tally is not None:
            old, new, same = tally
            self.notify(f"You preferred the new model {new} times, the old one {old} times; {same} times neither.")

    @on(Input.Submitted)
    async def _asked(self, event: Input.Submitted) -> None:
        prompt = event.value.strip()
        if prompt:
            event.input.clear()
            self._ask(prompt)

    @work(exclusive=True)
    async def _ask(self, prompt: str) -> None:
        """The same question to both, in a process of its own that ends with it."""
        self.notify("Both models are asked …", timeout=3)
        try:
            old = self._shelf.find(str(self._run.result.get("base")))
            async with Child("compare", str(old.path), str(self._run.result["model"])) as child:
                await child.line()
                await child.tell(prompt)
                before, after = await child.line() or ("", "")
        except (AssistantError, ModelFolderError, ValueError) as error:
            self.notify(str(error), severity="error")
            return
        self._replies.insert(0, {"prompt": prompt, "before": before, "after": after, "own": True, "now": True})
        self._fill()
        self.query_one("#replies").scroll_visible(top=True)


def numbers_table(run: Run, good: str, bad: str) -> Table:
    """Before and after, a row a number; in the colours `good` and `bad`."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "before", "after"):
        table.add_column(name, justify="left" if not name else "right")
    for name, old, new, unit in run.result.get("rows", []):
        better = old is None or new is None or (new <= old if "bits" in unit else new >= old)
        style = "" if unit == "" else good if better else bad
        shown = f"{printable(name)} ({unit})" if len(unit) > 1 else printable(name)
        unit = unit if len(unit) == 1 else "." if unit else ""  # long ones stand beside the name
        table.add_row(shown, number(old, unit).rstrip(" ."), Text(number(new, unit).rstrip(" ."), style=style))
    return table


def warnings_text(run: Run) -> str:
    return "\n".join(printable(str(sentence)) for sentence in run.result.get("warnings", []))


def replies_table(replies: list[dict[str, object]], colour: str) -> Table:
    """Old and new replies side by side, below each prompt; new ones that differ in `colour`."""
    table = Table(box=None, expand=True, show_header=bool(replies), pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("old model", ratio=1)
    table.add_column("new model", ratio=1)
    for row in replies:
        prompt = Text(f"\n{printable(str(row['prompt']))}", style="bold")
        source = "asked just now" if row.get("now") else "from your data" if row["own"] else "asked of every model"
        table.add_row(prompt, Text(f"\n{source}", style="dim"))
        changed = row["before"] != row["after"]
        new = Text(printable(str(row["after"])), style=colour if changed else "")
        table.add_row(Text(printable(str(row["before"])) or "–"), new)
    return table
