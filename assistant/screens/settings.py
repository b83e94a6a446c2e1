"""SettingsScreen: what holds for all chats, over the file of settings. KeysScreen: the keys, to be given others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

from assistant.errors import SettingsError
from assistant.paths import homely
from assistant.screens.bindings import key_name
from assistant.screens.dialogs import LineScreen
from assistant.screens.places import PLACES, all_keys, trouble
from assistant.screens.rows import PickScreen, Row, RowsScreen
from assistant.settings.config import OPTIONS, Config

OWN_FIRST = ("homespun-dark", "homespun-light")


class SettingsScreen(RowsScreen[None]):
    """Changes hold at once and are written at once; `apply` makes them hold."""

    heading = "Settings for all chats"

    def __init__(self, config: Config, personas: Sequence[str], apply: Callable[[], None]) -> None:
        super().__init__()
        self._config, self._personas, self._apply = config, personas, apply

    def rows(self) -> Sequence[Row]:
        listed = [Row(name, option.title, self._value(name), option.tells) for name, option in OPTIONS.items()]
        changed = len(self._config.keys)
        keys = f"{changed} changed" if changed else "as they came"
        file = homely(self._config.path)
        return [
            *listed,
            Row("keys", "Keys", keys, "which key does what"),
            Row("file", "File", file, f"all this is in {file}, to be edited by hand too; Enter copies the path"),
        ]

    def _value(self, name: str) -> str:
        value = self._config.get(name)
        if isinstance(value, bool):
            return "on" if value else "off"
        if name == "fold_pastes":
            return f"above {value} lines" if value else "never"
        return str(value) or "none"

    async def chosen(self, row: str) -> None:
        if row == "keys":
            self._open_keys()
        elif row == "file":
            self.app.copy_to_clipboard(str(self._config.path))
            self.notify("The path is in the clipboard.")
        elif isinstance(OPTIONS[row].default, bool):
            self._set(row, not self._config.get(row))
        elif row == "fold_pastes":
            self._ask_number(row)
        else:
            self._choose(row)

    def _set(self, name: str, value: bool | int | str) -> None:
        try:
            self._config.set(name, value)
        except SettingsError as error:
            self.notify(str(error), severity="warning", timeout=10)
        self._apply()
        self.fill()

    @work
    async def _open_keys(self) -> None:
        await self.app.push_screen_wait(KeysScreen(self._config, self._apply))
        self.fill()

    @work
    async def _ask_number(self, name: str) -> None:
        question = f"{OPTIONS[name].title}: {OPTIONS[name].tells}"
        text = await self.app.push_screen_wait(LineScreen(question, str(self._config.get(name)), 6))
        if text is None:
            return
        if text.isdecimal():
            self._set(name, int(text))
        else:
            self.notify(f"{text} is no number of lines.", severity="warning")

    @work
    async def _choose(self, name: str) -> None:
        if name == "theme":
            others = sorted(set(self.app.available_themes) - set(OWN_FIRST))
            choices = {theme: theme for theme in (*OWN_FIRST, *others)}
        else:
            choices = {"": "none", **{persona: persona for persona in self._personas}}
        before = str(self._config.get(name))
        preview = self._preview_theme if name == "theme" else None
        picked = await self.app.push_screen_wait(PickScreen(OPTIONS[name].title, choices, before, preview))
        self._set(name, picked) if picked is not None else self._apply()

    def _preview_theme(self, name: str) -> None:
        self.app.theme = name


class KeysScreen(RowsScreen[None]):
    """Every binding and its key. Enter gives it another one, Delete its own back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("delete,backspace", "reset", "Its own key")]
    heading = "Keys"
    end = "Enter: another key · Delete: its own key · Esc: close"
    wide = 12

    def __init__(self, config: Config, apply: Callable[[], None]) -> None:
        super().__init__()
        self._config, self._apply = config, apply

    def rows(self) -> Sequence[Row]:
        rows = []
        for place in PLACES:
            rows.append(Row(f"heading {place.title}", place.title, heading=True))
            rows += [self._row(binding) for binding in place.own]
        return rows

    def _row(self, binding: Binding) -> Row:
        name = str(binding.id)
        mark = "  · changed" if name in self._config.keys else ""
        tells = f"in the file of settings it is called {name}"
        return Row(name, key_name(binding, self._config.keys), f"{binding.tooltip}{mark}", tells)

    @work
    async def _capture(self, row: str) -> None:
        what = next(str(b.tooltip) for b in all_keys() if b.id == row)
        key = await self.app.push_screen_wait(KeyScreen(what))
        if key is None:
            return
        if why := trouble(row, key, self._config.keys):
            self.notify(why, severity="warning")
            return
        self._give(row, key)

    async def chosen(self, row: str) -> None:
        self._capture(row)

    def action_reset(self) -> None:
        if (row := self.current) is None or row not in self._config.keys:
            return
        others = {name: keys for name, keys in self._config.keys.items() if name != row}
        own = next(b.key for b in all_keys() if b.id == row)
        if why := trouble(row, own, others):
            self.notify(why, severity="warning")
        else:
            self._give(row, None)

    def _give(self, row: str, key: str | None) -> None:
        try:
            self._config.set_key(row, key)
        except SettingsError as error:
            self.notify(str(error), severity="warning", timeout=10)
        self._apply()
        self.fill()


class KeyScreen(ModalScreen[str | None]):
    """Takes the next key that is pressed; Esc calls it off."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(f"{self._what}: press the key.", markup=False)
            yield Label("Esc: leave it as it was", markup=False, classes="note")

    @on(events.Key)
    def _pressed(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.dismiss(None if event.key == "escape" else event.character if _is_letter(event) else event.key)


def _is_letter(event: events.Key) -> bool:
    return bool(event.character and len(event.character) == 1 and event.is_printable and event.character != ",")
