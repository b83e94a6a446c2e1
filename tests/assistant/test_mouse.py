"""The mouse does what the keys do: clicks on examples, lists, menus, dialogs, the line of keys."""

from __future__ import annotations

from textual.widgets import OptionList

from assistant.screens.dialogs import ChoiceScreen
from assistant.screens.help import HelpScreen
from assistant.screens.learning.form import FormScreen
from assistant.screens.learning.menu import MenuScreen
from assistant.screens.models import InfoScreen, ModelsScreen
from assistant.screens.settings import KeyScreen, KeysScreen, SettingsScreen
from assistant.screens.spam.screen import SpamScreen
from assistant.widgets.key_line import KeyLine
from assistant.widgets.welcome import EXAMPLES, Examples


async def shows(it, kind: type) -> None:
    await it.until(lambda: isinstance(it.app.screen, kind) and it.app.screen.is_mounted)
    await it.pilot.pause()


async def click_line(it, selector: str | type, begins: str) -> None:
    """Click the line of a list that begins with `begins`."""
    options = it.app.screen.query_one(selector, OptionList) if isinstance(selector, str) else None
    options = options or it.app.screen.query_one(selector)
    lines = [options.render_line(y).text for y in range(options.size.height)]
    at = next(y for y, line in enumerate(lines) if line.strip().startswith(begins))
    assert await it.pilot.click(options, offset=(options.gutter.left + 3, options.gutter.top + at))
    await it.pilot.pause()


async def click_key(it, name: str) -> None:
    """Click a key of the line at the bottom."""
    keys = it.app.screen.query_one(KeyLine)
    assert await it.pilot.click(keys, offset=(keys.render_line(0).text.index(name), 0))
    await it.pilot.pause()


async def test_a_first_example_is_asked_by_a_click_as_by_enter(opened) -> None:
    async with opened() as it:
        it.prompt.fill("half a thought")
        await click_line(it, Examples, EXAMPLES[1])
        await it.until(lambda: it.texts[:1] == [EXAMPLES[1]] and it.screen._live is None)
        assert it.prompt.has_focus
        assert it.prompt.text == "half a thought"
        assert it.texts == [EXAMPLES[1], f"You said: **{EXAMPLES[1]}**"]


async def test_clicks_go_through_lists_menus_and_dialogs(opened) -> None:
    async with opened((80, 24)) as it:
        await click_key(it, "Help")
        await shows(it, HelpScreen)
        await it.pilot.press("escape")
        await click_key(it, "Models")
        await shows(it, ModelsScreen)
        await it.pilot.click("#info")
        await shows(it, InfoScreen)
        await it.pilot.press("escape", "escape", "f12")
        await shows(it, SettingsScreen)
        await click_line(it, "OptionList", "Reduced motion")
        assert it.app.config.flag("reduced_motion")
        await click_line(it, "OptionList", "Keys")
        await shows(it, KeysScreen)
        await click_line(it, "OptionList", "Ctrl+F")
        await shows(it, KeyScreen)
        await it.pilot.press("escape", "escape", "escape")
        await click_key(it, "Teach")
        await shows(it, MenuScreen)
        await click_line(it, "#menu", "Make a classifier")
        await shows(it, FormScreen)
        await it.pilot.click("#start")
        assert "Say which data" in str(it.app.screen.query_one("#problem").content)
        await it.pilot.press("escape", "escape")


async def test_verdicts_and_labels_are_clicked(opened) -> None:
    async with opened((80, 24)) as it:
        await it.pilot.press("ctrl+s")
        await shows(it, SpamScreen)
        for text in ("this is spam", "lunch on Friday"):
            it.app.screen.prompt.fill(text)
            await it.pilot.press("enter")
            await it.pilot.pause()
            await it.until(lambda: it.app.screen._judging is None)
        await click_line(it, "#verdicts", "this is spam")
        assert it.app.screen.kept.shown == "this is spam"
        await it.pilot.press("f7")
        await shows(it, ChoiceScreen)
        await click_line(it, "OptionList", "Is it spam?")
        await shows(it, SpamScreen)
        assert it.app.screen.kept is None, "as when one begins to ask for it"
