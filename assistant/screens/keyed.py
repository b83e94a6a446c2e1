"""Keyed: a screen whose keys are a list. Its help is made from them, and so is what the palette offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual import actions
from textual.binding import Binding
from textual.screen import Screen

from assistant.screens.keys import APP_KEYS

Result = TypeVar("Result")


class Keyed(Screen[Result]):
    """`keys` are its BINDINGS too, `intro` stands above them in the help."""

    keys: ClassVar[Sequence[Binding]] = ()
    intro: ClassVar[str] = ""
    typing: ClassVar[Sequence[tuple[str, str]]] = ()  # what else may be pressed: (key, what it does)

    def commands(self) -> list[Binding]:
        """Everything that has a key and can be done now: for the palette."""
        return [binding for binding in self.keys if self._possible(binding)]

    def _possible(self, binding: Binding) -> bool:
        _, name, parameters = actions.parse(binding.action)
        return bool(self.check_action(name, parameters))

    def action_help(self) -> None:
        from assistant.screens.help import HelpScreen

        self.app.push_screen(HelpScreen([*self.keys, *APP_KEYS], intro=self.intro, typing=self.typing))
