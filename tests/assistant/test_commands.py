"""Slash commands, going back in the prompt, and chats as files."""

from __future__ import annotations

import json

import pytest

from assistant.errors import UsageError
from assistant.prompting.commands import COMMANDS, completion, read_command
from assistant.settings.sampling import read_setting


def test_reading_and_completing() -> None:
    assert read_command("/temp 0.5") == ("temp", "0.5")
    assert read_command("/usr/bin/env is a path") is None
    assert read_command("1/2") is None
    with pytest.raises(UsageError, match="/help stands alone"):
        read_command("/help me write a letter")
    with pytest.raises(UsageError, match="no command /tmep"):
        read_command("/tmep 1")
    assert completion("/sys") == "tem"
    assert completion("/system") == " TEXT"
    assert completion("hello") == completion("/") == completion("/zzz") == ""


def test_values_of_settings() -> None:
    assert read_setting("temperature", "0,5") == 0.5
    assert read_setting("seed", " ") is None
    assert read_setting("seed", str(2**63 - 1)) == 2**63 - 1
    for name, text in (("temperature", "-1"), ("top_k", "1.5"), ("top_p", "hot"), ("seed", "-1"), ("seed", "9" * 23)):
        with pytest.raises(UsageError, match="must be"):
            read_setting(name, text)


async def test_the_chats_instruction_and_settings_reach_the_engine_and_stay(opened) -> None:
    async with opened() as it:
        await it.send("/system Be brief.")
        await it.send("/temp 0")
        await it.ask("ROLES")
        assert it.replies == ["system user"]
        chat = it.app.store.chat(1)
        assert (chat.system, json.loads(chat.params)) == ("Be brief.", {"temperature": 0.0})
        assert it.app.service.params_of(1).temperature == 0
        assert it.screen.wishes.system == "", "the next chat begins anew"
        await it.send("/temp much")
        assert "must be a number" in it.notified
        assert it.prompt.text == "/temp much"
        await it.send("/default")
        await it.pilot.press("ctrl+n")
        await it.ask("Hello")
        assert it.app.service.params_of(it.screen.chat).temperature == 0


async def test_an_unknown_command_is_not_sent(opened) -> None:
    async with opened() as it:
        await it.send("/nothing")
        assert "There is no command /nothing" in it.notified
        assert it.texts == []


async def test_every_command_can_be_carried_out(opened, tmp_path) -> None:
    async with opened() as it:
        for name in COMMANDS:
            if name not in ("export", "import"):  # they have tests of their own
                await it.screen.carry_out(name, f"{tmp_path / 'x'}" if name == "rename" else "")
            await it.pilot.pause()
            while it.app.screen is not it.screen:
                it.app.pop_screen()
                await it.pilot.pause()


async def test_tab_completes_and_up_goes_back(opened) -> None:
    async with opened() as it:
        await it.ask("First")
        await it.ask("Second")
        await it.pilot.press(*"/exp")
        await it.pilot.press("tab")
        assert it.prompt.text == "/export "
        it.prompt.fill("half")
        await it.pilot.press("up")
        assert it.prompt.text == "Second"
        await it.pilot.press("up", "up")
        assert it.prompt.text == "First"
        await it.pilot.press("down", "down")
        assert it.prompt.text == "half"


async def test_export(opened, tmp_path) -> None:
    async with opened() as it:
        await it.ask("<b>One</b>")
        await it.pilot.press("f5")
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        for kind in ("md", "json", "html"):
            await it.send(f"/export {tmp_path}/chat.{kind}")
        await it.send(f"/export {tmp_path}/chat.md")
        assert "is there already" in it.notified
    assert (
        (tmp_path / "chat.md")
        .read_text()
        .endswith("**You**\n\n<b>One</b>\n\n**homespun**\n\nYou said: **<b>One</b>**\n")
    )
    stored = json.loads((tmp_path / "chat.json").read_text())
    assert [m["parent"] for m in stored["messages"]] == [None, 1, 1]
    page = (tmp_path / "chat.html").read_text()
    assert "&lt;b&gt;One&lt;/b&gt;" in page
    assert "<b>One" not in page
