"""FoldingArea: a text area in which a long paste is one short mark that is deleted or kept as a whole."""

from __future__ import annotations

from textual import events
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from assistant.prompting.folding import Folds
from assistant.text import printable
from assistant.widgets.in_order import InOrder


class FoldingArea(InOrder, TextArea):
    """`text` is what is shown, `whole` what is meant. Pastes of more than `fold_above` lines are folded; 0: none."""

    fold_above = 0
    LINE = 200  # characters of one line without an end count as a line of their own

    def __init__(self, **options: str | None) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, tab_behavior="focus", **options)  # type: ignore[arg-type]
        self._folds = Folds()

    @property
    def whole(self) -> str:
        """The text with every fold unfolded."""
        return self._folds.whole(self.text)

    @property
    def draft(self) -> str:
        """The text to be kept: as `whole`, and it is known where the folds were."""
        return self._folds.draft(self.text)

    @property
    def folds(self) -> dict[str, str]:
        """Marks in the text and what they stand for."""
        return self._folds.used(self.text)

    def fill(self, draft: str) -> None:
        """Put a text or a draft in, the cursor behind it."""
        self.load_text(self._folds.from_draft(draft))
        self.move_cursor(self.document.end)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        text = printable(event.text)
        if self.fold_above and text.count("\n") + len(text) // self.LINE > self.fold_above:
            text = self._folds.fold(text)
        self.replace(text, *self.selection)
        self.move_cursor(self.selection.end)
        self.scroll_cursor_visible()

    def put_in(self, text: str) -> None:
        self.replace(text, *self.selection)
        self.move_cursor(self.selection.end)

    def action_copy(self) -> None:
        """As Textual's, but what is copied is what folds stand for."""
        if not self.selected_text:
            super().action_copy()  # which says that there is nothing
        else:
            self.app.copy_to_clipboard(self._folds.whole(self.selected_text))

    def action_cut(self) -> None:
        """As `action_copy` is; without a selection it is the line."""
        line = self.document.get_line(self.cursor_location[0])
        cut = self._folds.whole(self.selected_text or line)
        super().action_cut()
        if cut:
            self.app.copy_to_clipboard(cut)

    def edit(self, edit: Edit) -> EditResult:
        """Textual's way for every change: one inside a fold's mark takes the mark as a whole, or goes behind it.

        A place that is no longer there, because the text was changed between key and change, becomes the text's end.
        """
        start, end = min(edit.top, self.document.end), min(edit.bottom, self.document.end)
        if (start, end) != (edit.top, edit.bottom):
            edit = Edit(edit.text, start, end, edit.maintain_selection_offset)
        if self._folds:
            first = self._folds.around(self.document.get_line(start[0]), start[1])
            last = self._folds.around(self.document.get_line(end[0]), end[1])
            if start == end and last:
                start = end = (end[0], last[1])
            else:
                start = (start[0], first[0]) if first else start
                end = (end[0], last[1]) if last else end
            if (start, end) != (edit.top, edit.bottom):
                edit = Edit(edit.text, start, end, edit.maintain_selection_offset)
        return super().edit(edit)

    def unfold(self) -> bool:
        """Show all folds' texts, to be changed; False where there is none."""
        if not self.folds:
            return False
        self.replace(self.whole, (0, 0), self.document.end)
        return True
