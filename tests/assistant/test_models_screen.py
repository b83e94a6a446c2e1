"""The picker through Textual's Pilot: choosing, adding, the default, removing; fake worker and fake Hub."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.widgets import Button, Input, Label, OptionList

from assistant.app import HomespunApp
from assistant.models import adding
from assistant.models.shelf import Shelf
from assistant.paths import Paths
from assistant.screens.dialogs import ConfirmScreen, LineScreen
from assistant.screens.models import InfoScreen, ModelsScreen
from tests.assistant.driver import Driver
from tests.assistant.fake_hub import FakeHub, Fault, Repository
from tests.assistant.model_files import FACTS, files, write


class Picker(Driver):
    @property
    def shelf(self) -> Shelf:
        return self.app.shelf

    @property
    def listed(self) -> list[str]:
        return [str(option.prompt) for option in self.app.screen.query_one(OptionList).options]

    @property
    def names(self) -> list[str]:
        return [line.split("\n")[0].split("  ·")[0] for line in self.listed]

    @property
    def line(self) -> str:
        return str(self.app.screen.query_one("#progress", Label).content)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def open(self) -> None:
        await self.press("ctrl+o")
        await self.until(lambda: isinstance(self.app.screen, ModelsScreen))

    async def at(self, name: str) -> None:
        self.app.screen.query_one(OptionList).highlighted = self.names.index(name)
        await self.pilot.pause()

    async def add(self, wish: str) -> None:
        await self.press("a")
        await self.until(lambda: isinstance(self.app.screen, LineScreen))
        self.app.screen.query_one(Input).value = wish
        await self.press("enter")


@pytest.fixture
def hub(monkeypatch, tmp_path: Path) -> Iterator[FakeHub]:
    hub = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    hub.repositories["org/tiny"] = Repository(files())
    yield hub
    hub.close()


@pytest.fixture
def opened(data: Path, command: list[str], monkeypatch):
    async def check(path: Path, shown: str = "") -> dict:
        return dict(FACTS)

    monkeypatch.setattr(adding, "engine_check", check)
    for name in ("one", "two"):
        write(data / "models" / name, {k: v for k, v in files(20_000).items() if "/" not in k})

    @asynccontextmanager
    async def opened(size: tuple[int, int] = (80, 24), model: str | None = "one") -> AsyncIterator[Picker]:
        app = HomespunApp(model, data_dir=data, command=command)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            it = Picker(app, pilot)
            await it.until(lambda: "a fake" in it.status)
            yield it

    return opened


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (50, 12)])
async def test_the_picker_shows_what_there_is_at_any_size(opened, size) -> None:
    async with opened(size) as it:
        await it.open()
        assert it.names == ["one", "two", "homespun-v0"]
        assert "in use" in it.listed[0]
        assert "12.6 M parameters, 25.2 MB, Apache-2.0" in it.listed[2]
        assert "default" in it.listed[2]
        options = it.app.screen.query_one(OptionList)
        assert options.highlighted == 0
        assert options.region.height >= 4
        for button in it.app.screen.query(Button):
            if button.parent.display:
                assert it.app.screen.region.contains_region(button.region)
                assert button.parent.parent.content_region.contains_region(button.region)
        await it.press("escape")
        assert not isinstance(it.app.screen, ModelsScreen)


async def test_enter_takes_another_model_and_the_chat_goes_on(opened) -> None:
    async with opened() as it:
        await it.ask("Before")
        process = it.app.service.client._process.pid
        it.prompt.fill("half a thought")
        await it.open()
        await it.press("down", "enter")
        await it.until(lambda: it.app.service.client.model == it.shelf.folder / "two" and "a fake" in it.status)
        assert it.app.service.client._process.pid == process, "the worker that runs takes it"
        assert it.replies == ["You said: **Before**"]
        assert it.prompt.text == "half a thought"
        await it.ask("After")
        assert it.replies[-1] == "You said: **After**"
        assert it.app.service.model.key == "two"


async def test_a_model_is_taken_while_the_last_one_still_loads(opened, monkeypatch) -> None:
    async with opened() as it:
        monkeypatch.setenv("FAKE_WORKER", "slow-load")
        await it.app.service.client.close()
        it.screen._load()
        await it.pilot.pause(0.1)
        monkeypatch.setenv("FAKE_WORKER", "")
        await it.open()
        await it.at("two")
        await it.press("enter")
        await it.until(lambda: it.app.service.client.loaded is not None)
        assert it.app.service.client.loaded.model == str(it.shelf.folder / "two")
        await it.ask("Hello")
        assert it.replies == ["You said: **Hello**"]


async def test_a_reply_being_made_blocks_the_switch(opened, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "slow")
    async with opened() as it:
        await it.send("Tell me")
        await it.until(lambda: "more" in "".join(it.replies))
        await it.open()
        await it.at("two")
        await it.press("enter")
        assert "A reply is being made. Esc stops it" in it.notified
        assert isinstance(it.app.screen, ModelsScreen)
        assert it.app.service.model.key == "one"
        await it.press("escape", "escape")
        await it.until(lambda: it.screen._live is None, 3)


async def test_a_model_that_cannot_be_loaded_is_told_and_another_can_be_taken(opened, monkeypatch) -> None:
    async with opened() as it:
        monkeypatch.setenv("FAKE_WORKER", "no-model")
        await it.app.service.client.close()
        await it.open()
        await it.at("two")
        await it.press("enter")
        await it.until(lambda: "could not be loaded" in it.status)
        monkeypatch.setenv("FAKE_WORKER", "")
        await it.open()
        await it.at("one")
        await it.press("enter")
        await it.until(lambda: "a fake" in it.status)
        assert not it.screen.query_one("#warning").display


async def test_default_and_info_and_remove(opened) -> None:
    async with opened() as it:
        await it.open()
        await it.at("two")
        await it.press("d")
        assert "default" in it.listed[1]
        assert it.shelf.default()[0].key == "two"
        await it.at("homespun-v0")
        await it.press("i")
        await it.until(lambda: isinstance(it.app.screen, InfoScreen))
        told = " ".join(str(label.content) for label in it.app.screen.query(Label))
        assert "12,588,672" in told
        assert "int4 7.9 MB" in told
        await it.press("escape", "delete")
        assert "came with homespun and stays" in it.notified
        await it.at("one")
        await it.press("delete")
        assert "one is in use" in it.notified
        await it.at("two")
        await it.press("delete")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.press("n")
        assert (it.shelf.folder / "two").exists()
        await it.press("delete")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.press("y")
        await it.until(lambda: it.names == ["one", "homespun-v0"])
        assert "the default, which now is homespun-v0" in it.notified
        assert not (it.shelf.folder / "two").exists()


async def test_the_mouse_does_it_all(opened) -> None:
    async with opened() as it:
        await it.open()
        await it.at("two")
        await it.pilot.click("#default")
        await it.pilot.pause()
        assert it.shelf.default()[0].key == "two"
        await it.pilot.click("#remove")
        await it.until(lambda: isinstance(it.app.screen, ConfirmScreen))
        await it.pilot.click("#no")
        await it.until(lambda: isinstance(it.app.screen, ModelsScreen))
        await it.pilot.click("#use")
        await it.until(lambda: it.app.service.model.key == "two")


async def test_adding_shows_speed_and_time_left_and_goes_on_in_the_background(opened, hub) -> None:
    hub.slow = 0.3
    async with opened() as it:
        await it.open()
        await it.add("org/tiny")
        await it.until(lambda: "/s, " in it.line and " s left" in it.line)
        assert it.line.startswith("tiny: ")
        await it.add("org/other")
        assert "One at a time" in it.notified
        await it.press("escape")
        await it.ask("Meanwhile")
        assert it.replies == ["You said: **Meanwhile**"]
        await it.until(lambda: "tiny is here, in the list of models." in it.notified)
        await it.open()
        assert "tiny" in it.names


async def test_the_list_grows_while_one_looks(opened, hub) -> None:
    async with opened() as it:
        await it.open()
        await it.add("org/tiny")
        await it.until(lambda: "tiny" in it.names)
        await it.until(lambda: not it.app.screen.query_one("#coming").display)


async def test_stopping_and_going_on(opened, hub) -> None:
    hub.slow = 0.3
    async with opened() as it:
        await it.open()
        await it.add("org/tiny")
        await it.until(lambda: "%" in it.line and not it.line.startswith("tiny: 0 %"))
        await it.press("s")
        await it.until(lambda: "What has come is kept" in it.notified)
        await it.until(lambda: "tiny" in it.names)
        assert "Enter goes on" in next(line for line in it.listed if line.startswith("tiny"))
        hub.slow = 0
        await it.at("tiny")
        await it.press("enter")
        await it.until(lambda: "tiny is here" in it.notified)
        assert any(given for given in hub.asked("cdn/org/tiny/model"))


async def test_leaving_in_the_middle_keeps_what_has_come(opened, hub, data) -> None:
    hub.slow = 0.3
    async with opened() as it:
        await it.open()
        await it.add("org/tiny")
        await it.until(lambda: "%" in it.line and not it.line.startswith("tiny: 0 %"))
    assert [one.name for one in Shelf(Paths(data)).unfinished()] == ["tiny"]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [("nosuch", "no folder or file here"), ("org/nothere", "There is no model org/nothere"), ("/nowhere", "no folder")],
)
async def test_what_cannot_be_added_is_a_sentence(opened, hub, wish: str, sentence: str) -> None:
    async with opened() as it:
        await it.open()
        await it.add(wish)
        await it.until(lambda: sentence in it.notified)
        assert it.names == ["one", "two", "homespun-v0"]


async def test_a_stalling_hub_is_told_of_while_it_stalls(opened, hub) -> None:
    hub.faults["model.safetensors"] = [Fault(stall=70_000)]
    async with opened() as it:
        await it.open()
        await it.add("org/tiny")
        limit = time.monotonic() + 10
        seen: set[str] = set()
        while "tiny is here" not in it.notified:
            assert time.monotonic() < limit
            seen.add(it.line)
            await it.pilot.pause(0.02)
        assert any("Nothing has come" in line or "%" in line for line in seen)


async def test_it_is_in_the_palette_and_the_default_opens(opened, data) -> None:
    Shelf(Paths(data)).set_default("two")
    async with opened(model=None) as it:
        assert it.app.service.model.key == "two"
        titles = {command.title for command in it.app.get_system_commands(it.screen)}
        assert "Choose, add and remove models" in titles


async def test_a_default_that_is_gone_is_told_of(opened, data) -> None:
    Shelf(Paths(data)).set_default("two")
    (data / "models" / "two").rename(data / "models" / "elsewhere")
    async with opened(model=None) as it:
        assert it.app.service.model.key == "homespun-v0"
        assert "two cannot be opened any more" in str(it.screen.query_one("#warning").content)


async def test_a_line_says_how_fast_a_model_is_here_and_what_it_is_good_for(opened) -> None:
    async with opened() as it:
        store = it.app.store
        for speed in (10.0, 50.0, 30.0):
            *_, reply = store.begin_turn(None, "Hi", "Hi", "homespun-v0")
            store.finish(reply, "words", "complete", tokens=20, tokens_per_second=speed)
        await it.open()
        line = next(line for line in it.listed if line.startswith("homespun-v0"))
        assert "Apache-2.0 · 30 tok/s here" in line
        assert "Good for small talk" in line
        assert "not tried here yet" in it.listed[0]
