"""The settings' file and its screen, keys that are given others, personas, and what a chat wants of its model."""

from __future__ import annotations

import pytest
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, OptionList, Static

from assistant.errors import SettingsError, UsageError
from assistant.screens.bindings import key_name
from assistant.screens.chat.chat_settings import ChatSettingsScreen, PersonasScreen
from assistant.screens.dialogs import LineScreen, TextScreen
from assistant.screens.help import HelpScreen
from assistant.screens.learning.form import FormScreen
from assistant.screens.learning.menu import MenuScreen
from assistant.screens.learning.typed import TypeScreen
from assistant.screens.libraries import LibrariesScreen
from assistant.screens.models import ModelsScreen
from assistant.screens.path import PathScreen
from assistant.screens.places import all_keys, trouble, usable
from assistant.screens.rows import PickScreen, RowsScreen
from assistant.screens.settings import KeyScreen, KeysScreen, SettingsScreen
from assistant.screens.spam.screen import SpamScreen
from assistant.settings import personas
from assistant.settings.config import OPTIONS, Config
from assistant.storage.store import Store
from assistant.widgets.prompt import Prompt

BY_HAND = """\
# my settings
theme = "nord"  # at night

fold_pastes = "many"
colour = 1
[keys]
help = "f13"  # F1 is taken here
"""


def rows(it) -> list[str]:
    return [str(option.prompt) for option in it.app.screen.query_one(OptionList).options]


async def choose(it, name: str) -> None:
    """Put the cursor on the row that begins with `name`, and press Enter."""
    options = it.app.screen.query_one(OptionList)
    options.highlighted = next(i for i, row in enumerate(rows(it)) if row.startswith(name))
    await it.pilot.press("enter")
    await it.pilot.pause()


async def writes(it, kind: type[ModalScreen], text: str) -> None:
    """Into the dialog that comes up, in the place of what is there."""
    await it.until(lambda: isinstance(it.app.screen, kind))
    if kind is LineScreen:
        it.app.screen.query_one(Input).value = text
    else:
        it.app.screen.query_one(Prompt).fill(text)
    await it.pilot.press("enter")
    await it.until(lambda: not isinstance(it.app.screen, kind))
    await it.pilot.pause()


async def opens(it, key: str, kind: type[RowsScreen]) -> None:
    await it.pilot.press(key)
    await it.until(lambda: isinstance(it.app.screen, kind))


# The file


def test_comments_and_what_is_not_ours_survive_a_change(tmp_path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(BY_HAND)
    config = Config(path)
    assert (config.get("theme"), config.keys) == ("nord", {"help": "f13"})
    assert config.get("fold_pastes") == OPTIONS["fold_pastes"].default
    assert config.warnings == [
        "In settings.toml, fold_pastes must be a whole number.",
        "In settings.toml, there is no setting colour.",
    ]
    config.set("theme", "gruvbox")
    config.set("vim_keys", True)
    config.set_key("search", "f4")
    config.set_key("help", None)
    text = path.read_text()
    for kept in ("# my settings", "# at night", "colour = 1", 'theme = "gruvbox"', 'search = "f4"', "vim_keys = true"):
        assert kept in text
    again = Config(path)
    assert (again.get("theme"), again.flag("vim_keys"), again.keys) == ("gruvbox", True, {"search": "f4"})


def test_a_file_that_is_no_toml_is_never_written_over(tmp_path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("theme = [[[")
    config = Config(path)
    assert "Mend the file" in config.warnings[0]
    with pytest.raises(SettingsError, match="only until you leave"):
        config.set("theme", "nord")
    assert path.read_text() == "theme = [[["
    assert config.get("theme") == "nord"


def test_keys_that_cannot_be() -> None:
    assert trouble("help", "f13", {}) == ""
    assert trouble("help", "h", {}).startswith("h alone would be typed")
    assert trouble("help", "ctrl+n", {}) == "Ctrl+N is taken: Begin a new chat."
    assert trouble("help", "ctrl+n", {"new-chat": "f13"}) == ""
    assert trouble("message-edit", "d", {}).startswith("d is taken")
    good, sentences = usable({"help": "ctrl+n", "nothing": "f13", "search": "f13"})
    assert good == {"search": "f13"}
    assert len(sentences) == 2
    assert len({b.id for b in all_keys()}) == len(all_keys()), "every binding has a name of its own"
    assert all(not trouble(str(b.id), b.key, {}) for b in all_keys()), "none of our own keys is two things"


@pytest.mark.parametrize(
    ("name", "key", "why"),
    [
        ("spam-open", "f2", "F2 is taken: Say what it really is"),
        ("spam-open", "ctrl+j", "Ctrl+J is taken: New line"),
        ("spam-open", "x", "x alone would be typed"),
        ("result-vote", "ctrl+q", "Ctrl+Q is taken: Leave"),
        ("inspect-ids", "a", "a is taken: Show what the token looks at"),
        ("teach-pause", "enter", "Enter is taken: it is needed in the list."),
        ("run-log", "tab", "Tab is taken"),
        ("run-log", "a", ""),
        ("inspect-ids", "f2", ""),
    ],
)
def test_clashes_are_found_screen_by_screen(name: str, key: str, why: str) -> None:
    assert trouble(name, key, {}).startswith(why) if why else not trouble(name, key, {})


# The screens


async def test_settings_hold_at_once_and_after_a_restart(opened, data) -> None:
    async with opened() as it:
        await opens(it, "f12", SettingsScreen)
        await choose(it, "Reduced motion")
        assert it.app.animation_level == "none"
        assert not it.prompt.cursor_blink
        await choose(it, "Theme")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        assert rows(it)[:2] == ["homespun-dark", "homespun-light"]
        assert "dracula" in rows(it)
        await it.pilot.press("down")
        await it.pilot.pause()
        assert it.app.theme == "homespun-light", "shown at once"
        await it.pilot.press("escape")
        await it.until(lambda: it.app.theme == "homespun-dark", 3)
        await choose(it, "Theme")
        await it.until(lambda: isinstance(it.app.screen, PickScreen))
        await choose(it, "nord")
        await it.until(lambda: isinstance(it.app.screen, SettingsScreen))
        assert it.app.theme == "nord"
    assert 'theme = "nord"' in (data / "settings.toml").read_text()
    async with opened() as it:
        assert (it.app.theme, it.app.animation_level) == ("nord", "none")


async def test_a_key_is_remapped_and_help_footer_and_palette_say_so(opened) -> None:
    async with opened((120, 40)) as it:
        await opens(it, "f12", SettingsScreen)
        await choose(it, "Keys")
        await it.until(lambda: isinstance(it.app.screen, KeysScreen))
        await choose(it, "Ctrl+N")
        await it.until(lambda: isinstance(it.app.screen, KeyScreen))
        await it.pilot.press("f1")
        await it.until(lambda: "F1 is taken: Show this help." in it.notified)
        await choose(it, "Ctrl+N")
        await it.until(lambda: isinstance(it.app.screen, KeyScreen))
        await it.pilot.press("f13")
        await it.until(lambda: any(row.startswith("F13") for row in rows(it)))
        await it.pilot.press("escape", "escape")
        await it.ask("Hello")
        await it.pilot.press("ctrl+n")
        assert it.replies, "the old key does nothing"
        shown = {b.binding.key for b in it.screen.active_bindings.values() if b.binding.description == "New"}
        assert shown == {"f13"}
        commands = {c.title: c.help for c in it.app.get_system_commands(it.screen)}
        assert commands["Begin a new chat"] == "F13"
        await it.pilot.press("f1")
        await it.until(lambda: isinstance(it.app.screen, HelpScreen))
        labels = [str(label.content) for label in it.app.screen.query(Label)]
        assert labels[labels.index("Begin a new chat") - 1] == "F13"
        assert "/persona" in labels
        await it.pilot.press("escape", "f13")
        await it.until(lambda: it.replies == [])


async def test_the_keys_of_other_screens_are_remapped_and_every_sentence_says_so(opened, data) -> None:
    data.mkdir()
    (data / "settings.toml").write_text(
        '[keys]\nspam-open = "f4"\nteach-help = "z"\nform-type = "ctrl+y"\n'
        'models-add = "w"\nmodels-info = "a"\nlibraries-add = "plus"\n'
    )

    def helps() -> list[str]:
        return [str(label.content) for label in it.app.screen.query(Label)]

    async with opened((120, 40)) as it:
        await it.pilot.press("ctrl+o")
        await it.until(lambda: isinstance(it.app.screen, ModelsScreen))
        assert {"Add (w)", "Info (a)", "Remove (Del)"} <= {str(b.label) for b in it.app.screen.query(Button)}
        await it.pilot.press("w")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.pilot.press("escape", "escape", "f11")
        await it.until(lambda: isinstance(it.app.screen, LibrariesScreen))
        assert "+ adds a folder" in str(it.app.screen.query_one("#none", Label).content)
        await it.pilot.press("escape", "ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, SpamScreen))
        await it.pilot.pause()
        assert "\nF4 opens a file" in str(it.app.screen.query_one("#begin", Static).content)
        await it.pilot.press("ctrl+o")
        assert isinstance(it.app.screen, SpamScreen), "the old key does nothing"
        await it.pilot.press("f1")
        await it.until(lambda: isinstance(it.app.screen, HelpScreen))
        assert helps()[helps().index("Judge a file: a text, an .eml, an mbox or a Maildir") - 1] == "F4"
        await it.pilot.press("escape", "f4")
        await it.until(lambda: isinstance(it.app.screen, PathScreen))
        await it.pilot.press("escape", "escape", "ctrl+l")
        await it.until(lambda: isinstance(it.app.screen, MenuScreen))
        await it.pilot.press("z")
        await it.until(lambda: isinstance(it.app.screen, HelpScreen))
        assert helps()[helps().index("Show these keys") - 1] == "z"
        await it.pilot.press("escape", "enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.pilot.pause()
        assert "Type it in (Ctrl+Y)" in [str(button.label) for button in it.app.screen.query(Button)]
        await it.pilot.press("ctrl+y")
        await it.until(lambda: isinstance(it.app.screen, TypeScreen))


async def test_enter_can_make_a_new_line_instead_of_sending(opened, data) -> None:
    data.mkdir()
    (data / "settings.toml").write_text('[keys]\nprompt-send = "ctrl+enter"\nprompt-newline = "enter"\n')
    async with opened() as it:
        await it.pilot.press("a", "enter", "b")
        assert it.prompt.text == "a\nb"
        assert "Ctrl+Enter sends" in str(it.screen.query_one("#welcome", Static).content)
        await it.pilot.press("ctrl+enter")
        await it.until(lambda: it.texts[:1] == ["a\nb"])


async def test_wrong_settings_are_told_in_the_window(opened, data) -> None:
    data.mkdir()
    (data / "settings.toml").write_text('[keys]\nhelp = "ctrl+n"\n')
    async with opened((120, 40)) as it:
        assert "Ctrl+N is taken" in str(it.screen.query_one("#warning", Static).content)
        assert key_name(next(b for b in all_keys() if b.id == "help"), it.app.keymap) == "F1"


# A chat's own


def test_the_library_of_personas() -> None:
    store = Store(None)
    assert personas.named(store, "bri")[0] == "Brief"
    with pytest.raises(UsageError, match="no persona 'x'"):
        personas.named(store, "x")
    personas.save(store, "Brief", "One word.")
    personas.save(store, " My \n own ", "Be me.")
    assert list(personas.library(store)) == [*personas.BUILT_IN, "My own"]
    assert personas.name_of(store, "One word.") == "Brief"
    for name, text in (("", "x"), ("x", "  "), ("x" * 41, "x")):
        with pytest.raises(UsageError):
            personas.save(store, name, text)


async def test_what_a_chat_wants_is_shown_changed_and_made_the_default(opened) -> None:
    async with opened((100, 30)) as it:
        await it.ask("Hello")
        await opens(it, "ctrl+r", ChatSettingsScreen)
        await choose(it, "Temperature")
        await writes(it, LineScreen, "hot")
        await it.until(lambda: "must be a number" in it.notified)
        await choose(it, "Temperature")
        await writes(it, LineScreen, "0,25")
        await it.until(lambda: any(r.endswith("0.25 · this chat's") for r in rows(it)))
        await choose(it, "Make this the default")
        await it.pilot.press("escape")
        await it.pilot.press("ctrl+n")
        assert it.app.service.params_of(None).temperature == 0.25
        await opens(it, "ctrl+r", ChatSettingsScreen)
        assert any(r.endswith("0.25 · your default") for r in rows(it))
        await choose(it, "Give ")
        await it.pilot.pause()
        assert it.app.service.params_of(None).temperature == 0.7


async def test_personas_are_taken_written_and_deleted(opened) -> None:
    async with opened((100, 30)) as it:
        await opens(it, "ctrl+r", ChatSettingsScreen)
        await choose(it, "Persona")
        await it.until(lambda: isinstance(it.app.screen, PersonasScreen))
        await it.pilot.press("n")
        await writes(it, LineScreen, "Pirate")
        await writes(it, TextScreen, "Talk like a pirate.")
        await it.until(lambda: any(r.startswith("Pirate *") for r in rows(it)))
        await choose(it, "Pirate")
        await it.until(lambda: isinstance(it.app.screen, ChatSettingsScreen))
        await it.pilot.press("escape")
        await it.until(lambda: "Pirate" in str(it.screen.query_one("#title", Static).content))
        await it.ask("ROLES")
        assert it.replies == ["system user"]
        it.app.store.forget_persona("Pirate")
        assert it.app.store.chat(1).system == "Talk like a pirate.", "a chat keeps the words"


async def test_new_chats_begin_with_the_persona_of_the_settings(opened, data) -> None:
    data.mkdir()
    (data / "settings.toml").write_text('persona = "Brief"\n')
    async with opened() as it:
        await it.ask("ROLES")
        assert it.replies == ["system user"]
        await it.pilot.press("ctrl+n")
        await it.ask("ROLES")
        assert it.replies == ["system user"]
