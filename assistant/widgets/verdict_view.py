"""VerdictView: one verdict on screen: answer, bar, reasons, and the mail. What it says is `verdicts/shown.py`."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from assistant.screens.keys import spelt
from assistant.storage.verdicts import SPAM_TASK, Kept
from assistant.verdicts import shown

WELCOME = """\
{question}

Paste a mail below, with its headers or only its words, and press {judge}.
{open} opens a file: a text, an .eml, an mbox or a Maildir.

It is judged on this computer and kept in the list until you delete it ({delete}).
{back} goes back to the chat."""
KEYS = {"judge": "prompt-send", "open": "spam-open", "delete": "spam-delete", "back": "spam-back"}
QUESTION = "Is it spam?"
WIDEST_BAR = 60  # cells


class VerdictView(VerticalScroll):
    """Shows `kept`, or how to begin where there is none."""

    can_focus = True

    def __init__(self) -> None:
        super().__init__(id="verdict")
        self.kept: Kept | None = None
        self._waiting = False

    def compose(self) -> ComposeResult:
        yield Static("", markup=False, id="begin")
        for part in ("heading", "bar", "under", "reasons", "mail"):
            yield Static("", markup=False, id=f"verdict-{part}", classes="part")

    def show(self, kept: Kept | None, *, waiting: bool = False, question: str = QUESTION) -> None:
        """Put a verdict on screen; `waiting`: it is being made; `question`: what is asked, where there is none yet."""
        other = (kept and kept.id) != (self.kept and self.kept.id)
        self.kept, self._waiting = kept, waiting
        begin = self.query_one("#begin", Static)
        begin.update(WELCOME.format(question=question, **{name: spelt(self, key) for name, key in KEYS.items()}))
        begin.display = kept is None
        for part in self.query(".part"):
            part.display = kept is not None
        if kept is not None:
            self._part("heading", "being judged …" if waiting else shown.heading(kept))
            self._part("reasons", shown.reasons(kept, spelt(self, "spam-again")))
            self._part("mail", shown.mail(kept))
            self._bar()
        if other:
            self.scroll_home(animate=False)

    def _bar(self) -> None:
        """Fit the bar to the width there is."""
        if (kept := self.kept) is None:
            return
        width = min(self.size.width - 6, WIDEST_BAR)
        self._part("under", shown.under_the_bar(kept))
        if self._waiting or not kept.answer:
            self._part("bar", "")
        elif kept.task == SPAM_TASK:
            style = shown.COLOURS.get(kept.answer, "$text-primary")
            self._part("bar", shown.bar(kept.probability, kept.details.get("threshold"), width, style))
        else:
            self._part("bar", shown.bars_of_labels(kept, width))

    def _part(self, name: str, content: object) -> None:
        part = self.query_one(f"#verdict-{name}", Static)
        part.update(content)  # type: ignore[arg-type]
        part.display = bool(str(content))

    def on_resize(self, event: events.Resize) -> None:
        self._bar()
