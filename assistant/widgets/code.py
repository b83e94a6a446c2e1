"""Fence: a block of code in a reply, with its language and an own way to copy it."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.message import Message as Event
from textual.widgets import Label, Static
from textual.widgets.markdown import MarkdownFence


class CodeBar(Static):
    """The line above the code: its language, and what to click."""

    def show(self, language: str) -> None:
        self.update(f"{language or 'text'}  ·  copy")

    def on_click(self) -> None:
        fence = self.parent
        assert isinstance(fence, Fence)
        fence.post_message(Fence.Copied(fence.code))


class Fence(MarkdownFence):
    """Textual's block of code under a line that copies it."""

    class Copied(Event):
        """The reader wants `code` in the clipboard."""

        def __init__(self, code: str) -> None:
            super().__init__()
            self.code = code

    def compose(self) -> ComposeResult:
        bar = CodeBar(markup=False, classes="codebar")
        bar.show(self.lexer)
        yield bar
        yield Label(self._highlighted_code, id="code-content", expand=True)
