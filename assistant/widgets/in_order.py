"""InOrder: a text field in which keys take effect in the order in which they came, however many come at once.

Textual puts a letter in at once, and hands a key that is bound to an action (Backspace, say) up to the app, which comes
back with it later: of a burst of keys, as slow connections and busy moments make them, the letters came first.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from textual import events
from textual.widgets import Input

from assistant.text import printable

if TYPE_CHECKING:
    from textual.widget import Widget
else:
    Widget = object  # a second widget among the bases would hide the styles of the first


class InOrder(Widget):
    """To stand before a text field among the bases."""

    async def _on_key(self, event: events.Key) -> None:
        if action := self.own_action(event):
            event.stop()
            event.prevent_default()
            await self.run_action(action)
        elif is_typed(event):
            event.stop()
            event.prevent_default()
            self.put_in(event.character or "")
        # and if not, Textual calls the field's own handler next

    def put_in(self, text: str) -> None:
        """Type `text`."""
        raise NotImplementedError

    def own_action(self, event: events.Key) -> str:
        """What a binding of the field itself does at this key now; "" where there is none."""
        found = None if event.is_printable else self.screen.active_bindings.get(event.key)
        return found.binding.action if found and found.enabled and found.node is self else ""


class LineInput(InOrder, Input):
    """A line to type into."""

    def put_in(self, text: str) -> None:
        self.insert_text_at_cursor(text)


def is_typed(event: events.Key) -> bool:
    """Whether a key is a blank or a joiner (Japanese and no-break spaces, joined emoji, Persian), which Python does not
    call printable and Textual therefore leaves out."""
    typed = event.character or ""
    odd = len(typed) == 1 and not event.is_printable and unicodedata.category(typed) in ("Zs", "Cf")
    return odd and printable(typed) == typed
