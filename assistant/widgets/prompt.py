"""Prompt: where one types. Its keys: sending, new lines, completing, going back through what was sent, vim's.

What a key is bound to is screens/keys.py; what could complete a word is completing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from assistant.doorway import HINT
from assistant.prompting.commands import completion
from assistant.prompting.completing import Offer, offers
from assistant.screens.keys import PROMPT_KEYS
from assistant.settings.config import Config
from assistant.widgets.completions import Completions
from assistant.widgets.folding_area import FoldingArea
from assistant.widgets.vim import VimKeys


class Prompt(FoldingArea):
    """A text area that grows with its text up to the height its style allows.

    Up in the first line goes back through what `asked` gives, Down in the last one forward again. `popup` shows what
    could complete a word; `arguments` are what a command's argument can be.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*PROMPT_KEYS]

    class Submitted(Message):
        """`text` is to be sent; it is still in the prompt, as `draft`, and whoever takes it clears it."""

        def __init__(self, prompt: Prompt, text: str, draft: str | None = None, *, typed: bool = True) -> None:
            super().__init__()
            self.prompt, self.text, self.draft = prompt, text, text if draft is None else draft
            self.typed = typed  # whether `text` is what stands in the prompt

        @property
        def control(self) -> Prompt:
            return self.prompt

    class Left(Message):
        """Down was pressed in an empty prompt: on to what there is beside it."""

    def __init__(
        self,
        asked: Callable[[], list[str]] | None = None,
        popup: Completions | None = None,
        arguments: Callable[[], Mapping[str, Sequence[str]]] = dict,
        **options: str | None,
    ) -> None:
        super().__init__(**options)
        self._asked, self._back = asked, 0  # how many messages one has gone back
        self._typed = self._recalled = ""  # what stood here before going back, and what stands here since
        self._popup, self._arguments = popup, arguments
        self._vim: VimKeys | None = None
        self.placeholder = HINT if popup else ""

    def configure(self, config: Config) -> None:
        """Have hold what a person set."""
        self.cursor_blink = not config.flag("reduced_motion")
        self.fold_above = max(0, int(config.get("fold_pastes")))
        self._vim = (self._vim or VimKeys(self)) if config.flag("vim_keys") else None
        self._show_mode()

    def _show_mode(self) -> None:
        normal = self._vim is not None and self._vim.normal
        self.border_title = "NORMAL" if normal else ""
        self.set_class(normal, "-normal")

    async def _on_key(self, event: events.Key) -> None:
        if self._completes(event.key) or self._is_vims(event) or self._goes_on(event.key):
            event.stop()
            event.prevent_default()

    def _is_vims(self, event: events.Key) -> bool:
        if self._vim is None:
            return False
        if self._vim.normal and event.key == "k" and self.cursor_location[0] == 0:
            return self._go_back(1)
        if self._vim.normal and event.key == "j" and self._back and self.cursor_at_last_line:
            return self._go_back(-1)
        taken = self._vim.take(event)
        self._show_mode()
        return taken

    def _goes_on(self, key: str) -> bool:
        """Whether `key` has gone through what was sent before, or out of an empty prompt."""
        if key == "up" and self.cursor_location[0] == 0:
            return self._go_back(1)
        if key != "down" or not self.cursor_at_last_line:
            return False
        if not self._back and not self.text:
            self.post_message(self.Left())
            return True
        return bool(self._back) and self._go_back(-1)

    @property
    def unsent(self) -> str:
        """The draft to be kept: what was typed, while one looks at what was sent before."""
        return self._typed if self._back and self.draft == self._recalled else self.draft

    def action_send(self) -> None:
        self.post_message(self.Submitted(self, self.whole, self.draft))

    def render_line(self, y: int) -> Strip:
        """As Textual's, which cannot wrap the placeholder into no room at all."""
        return super().render_line(y) if self.content_size.width > 0 else Strip.blank(self.size.width)

    def action_newline(self) -> None:
        self.insert("\n")

    def _go_back(self, by: int) -> bool:
        asked = self._asked() if self._asked is not None else []
        to = self._back + by
        if not 0 <= to <= len(asked):
            return by > 0  # at the oldest one, Up does nothing
        if self._back == 0:
            self._typed = self.draft
        self.fill(asked[to - 1] if to else self._typed)
        self._back, self._recalled = to, self.draft
        return True

    def fill(self, draft: str) -> None:
        self._back = 0
        if self._vim is not None:
            self._vim.insert()
            self._show_mode()
        super().fill(draft)
        self.close_popup()

    # Completing

    def update_suggestion(self) -> None:
        """Textual asks for it after every change: the rest of a slash command."""
        self.suggestion = completion(self.text) if self._popup is not None else ""
        if self._popup is not None:
            row, column = self.cursor_location
            before = self.document.get_line(row)[:column]
            found = offers(before, first=row == 0, arguments=self._arguments())
            self._popup.show([] if len(found) == 1 and found[0].complete else found)

    def close_popup(self) -> None:
        if self._popup is not None:
            self._popup.show([])

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        self.close_popup()

    def _completes(self, key: str) -> bool:
        """Whether `key` was for the list of completions."""
        popup = self._popup
        if popup is None or (offer := popup.chosen) is None:
            return False
        if key in ("up", "down"):
            popup.move(-1 if key == "up" else 1)
        elif key == "escape":
            popup.show([])
        elif key == "tab":
            self.take(offer)
        elif key == "enter" and not offer.complete and (offer.sends or popup.moved or offer.typed.startswith("/")):
            self.take(offer)
            if offer.sends:
                self.action_send()
        else:
            return False
        return True

    def take(self, offer: Offer) -> None:
        """Put an offer in the place of what was typed of it."""
        row, column = self.cursor_location
        self.replace(offer.text, (row, column - len(offer.typed)), (row, column))
