"""ListDialog: a dialog with a list that takes what room is left, so that nothing below it is ever cut off."""

from __future__ import annotations

from typing import TypeVar

from textual import events
from textual.screen import ModalScreen
from textual.widgets import OptionList

Result = TypeVar("Result")
LEAST = 2  # lines of the list, however small the window
SHARE = 0.9  # of the window's height that a dialog may take; all of it where there are few lines


class ListDialog(ModalScreen[Result]):
    """Has one OptionList right below the dialog's box."""

    def on_resize(self, event: events.Resize) -> None:
        self.fit()

    def fit(self) -> None:
        """Give the list its height, once what stands around it has got its own."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        options = next(iter(self.query(OptionList)), None)
        if not self.is_attached or options is None:  # it has been closed meanwhile
            return
        dialog = options.parent
        assert dialog is not None
        others = [child for child in dialog.children if child is not options and child.display]
        taken = sum(child.outer_size.height + child.styles.margin.height for child in others)
        short = self.app.screen.has_class("-short")
        room = self.size.height if short else int(self.size.height * SHARE)
        options.styles.max_height = max(LEAST, room - taken - dialog.gutter.height)  # type: ignore[attr-defined]
