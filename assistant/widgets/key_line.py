"""KeyLine: the keys that do something here, in one line at the bottom. Clicking one presses it.

Stands in for Textual's Footer, which makes a widget for every key anew whenever one of them changes: half of the time
that it took to open another chat.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget


class KeyLine(Widget, can_focus=False):
    """The bindings of the screen that are to be shown, the first key of each action, as many as fit."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"key-line--key", "key-line--description"}
    DEFAULT_CSS = """
    KeyLine {
        dock: bottom; height: 1; text-wrap: nowrap; text-overflow: clip;
        color: $footer-foreground; background: $footer-background;
        &:hover { pointer: pointer; }
        .key-line--key { color: $footer-key-foreground; background: $footer-key-background; text-style: bold; }
        .key-line--description {
            color: $footer-description-foreground; background: $footer-description-background;
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[tuple[str, str, str, bool]] = []  # (key, as it is shown, what it does, whether it can now)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is not self.screen or not self.app.app_focus:
            return
        shown: dict[str, tuple[str, str, str, bool]] = {}
        for _, binding, enabled, _ in screen.active_bindings.values():
            if binding.show and binding.action not in shown:
                key = self.app.get_key_display(binding)
                shown[binding.action] = (binding.key, key, binding.description, enabled)
        if (keys := list(shown.values())) != self._keys:
            self._keys = keys
            self.refresh()

    def render(self) -> Content:
        key_style = self.get_visual_style("key-line--key")
        text_style = self.get_visual_style("key-line--description")
        parts: list[tuple[str, object]] = []
        for _, key, description, enabled in self._keys:
            parts += [
                (f" {key} ", key_style if enabled else "dim"),
                (f"{description} ", text_style if enabled else "dim"),
            ]
        return Content.assemble(*parts)  # type: ignore[arg-type]

    def on_click(self, event: events.Click) -> None:
        """Press the key that is under the pointer."""
        place = 0
        for key, shown, description, enabled in self._keys:
            place += Content(f" {shown} {description} ").cell_length
            if event.x < place:
                self.app.simulate_key(key) if enabled else self.app.bell()
                return
