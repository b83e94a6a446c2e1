"""How the settings look: the list, a choice, the keys and the catching of one."""

from __future__ import annotations

from assistant.screens.rows import PickScreen
from assistant.screens.settings import KeyScreen, KeysScreen, SettingsScreen
from tests.assistant.album import SIZES
from tests.assistant.test_settings import choose


@SIZES
async def test_the_settings_and_the_keys(album, size) -> None:
    async with album(size) as it:
        await it.pilot.press("f12")
        await it.shows(SettingsScreen)
        await it.take("settings")
        await choose(it, "Persona")
        await it.shows(PickScreen)
        await it.take("pick")
        await it.pilot.press("escape")
        await it.shows(SettingsScreen)
        await choose(it, "Keys")
        await it.shows(KeysScreen)
        await it.take("keys")
        await choose(it, "Ctrl+N")
        await it.shows(KeyScreen)
        await it.take("key")
