"""The inspector driven through the app: live, afterwards, attention, branches, without colour, at its smallest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from assistant.app import HomespunApp
from assistant.inspecting.heat import Row
from assistant.screens.inspect.screen import InspectScreen
from assistant.widgets.inside import Choices, HeatStrips
from assistant.widgets.tokens import TokenText
from tests.assistant.driver import Driver

WORKER = [sys.executable, str(Path(__file__).parent / "inside_worker.py")]


@pytest.fixture
def command() -> list[str]:
    return WORKER


def inside(it: Driver) -> InspectScreen:
    screen = it.app.screen
    assert isinstance(screen, InspectScreen)
    return screen


async def look(it: Driver) -> InspectScreen:
    await it.send("/inspect")
    await it.until(lambda: isinstance(it.app.screen, InspectScreen) and it.app.screen.inspection.whole)
    await it.pilot.pause()
    return inside(it)


def shown(screen: InspectScreen) -> list[str]:
    """The lines of tokens on screen."""
    text = screen.query_one(TokenText)
    return [text.render_line(y).text.rstrip() for y in range(text.size.height)]


async def test_the_prompts_tokens_the_replys_probabilities_and_what_else_was_likely(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        screen = await look(it)
        assert shown(screen)[:2] == ["<|im_start|>user:Helloone two␛[31m three↵", "■"]
        choices = str(screen.query_one(Choices).content)
        assert "“one”  token 1  place 3  95 %, choice 1" in choices
        assert "2  ████" in choices
        assert "25 %  “ four”" in choices
        await it.pilot.press("n")
        assert "token 2 " in str(screen.query_one(Choices).content), "the first that was less likely than not"
        await it.pilot.press("i")
        assert "Hello⟨91⟩one⟨1⟩ two⟨2⟩" in shown(screen)[0]
        await it.pilot.press("escape")
        assert it.app.screen is it.screen


async def test_one_key_branches_and_the_model_goes_on(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        await look(it)
        await it.pilot.press("right", "1", "2")
        assert "was said here" in it.notified
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        assert it.texts[-1] == "one four[31m three\n", "up to there, the alternative, and what the model makes of it"
        last = it.screen.history()[-1]
        assert (last.place, last.siblings, last.status) == (2, 2, "complete")
        screen = await look(it)
        assert [p.token for p in screen.inspection.pieces[2:]] == [1, 4, 6, 3, 5], "its own tokens are known, too"


async def test_a_branch_may_end_the_reply(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        await look(it)
        await it.pilot.press("right", "right", "2")
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        assert it.texts[-1] == "one two"


async def test_attention_by_layer_and_head_shades_what_is_looked_at(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
        screen = await look(it)
        await it.pilot.press("a")
        await it.until(lambda: screen.inspection.heat is not None)
        await it.pilot.pause()
        strips = str(screen.query_one(HeatStrips).content).split("\n")
        assert (
            strips[0] == "“one” looks at “<|im_start|>” 50 %, “user:Hello” 50 %, “one” 0 %".replace('0 %"', "")
            or strips
        )
        assert strips[2].startswith("▸layer 1")
        await it.pilot.press("down", "down")
        assert screen.inspection.row == Row(0, 1)
        strips = str(screen.query_one(HeatStrips).content).split("\n")
        assert any(line.startswith("▸  head 2") and line.rstrip().endswith(" █") for line in strips)
        await it.pilot.press("right")
        await it.until(lambda: screen.inspection.heat is not None)
        assert screen.inspection.heat.position == 3


async def test_it_is_there_while_the_reply_is_made(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIDE_WORKER", "slow")
    async with opened() as it:
        await it.send("Hello")
        await it.until(lambda: it.screen._live is not None and len(it.screen._live.text) > 5)
        await it.send("/inspect")
        await it.until(lambda: isinstance(it.app.screen, InspectScreen) and len(inside(it).inspection.pieces) > 3)
        screen = inside(it)
        assert "as it is made" in str(screen.query_one("#inside").content)
        before = len(screen.inspection.pieces)
        await it.until(lambda: len(screen.inspection.pieces) > before)
        await it.pilot.press("2")
        assert "when the reply is done" in it.notified
        await it.screen.action_stop()
        await it.until(lambda: screen.inspection.whole)
        assert screen.inspection.prompt == 2
        assert len(screen.inspection.pieces) == 2 + len(it.texts[-1].split())


async def test_a_reply_of_an_earlier_session_is_scored_again(opened) -> None:
    async with opened() as it:
        await it.ask("Hello")
    async with opened() as it:
        await it.screen.open_chat(1)
        screen = await look(it)
        assert [p.token for p in screen.inspection.pieces[2:]] == [4], "cut up anew from its text"


async def test_without_colour_digits_and_borders_say_it(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened() as it:
        await it.ask("Hello")
        screen = await look(it)
        assert shown(screen)[0] == "<|im_start|>│user:Hello│one two₃␛[31m₀ three₆↵"
        await it.pilot.press("a")
        await it.until(lambda: screen.inspection.heat is not None)
        await it.pilot.pause()
        assert shown(screen)[0].startswith("<|im_start|>₈user:Hello₈one two")


@pytest.mark.parametrize("size", [(1, 1), (20, 8), (80, 24), (120, 40)])
async def test_at_any_size(opened, size: tuple[int, int]) -> None:
    async with opened() as it:
        await it.ask("Hello")
        screen = await look(it)
        await it.pilot.resize_terminal(*size)
        await it.pilot.press("a", "right", "down", "a", "left", "up", "end", "home")
        await it.until(lambda: size != (120, 40) or screen.query_one(HeatStrips).display)
        if size == (120, 40):
            assert screen.query_one(Choices).display, "both side by side"


async def test_nothing_to_look_inside_is_said_and_a_dead_engine_too(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as it:
        await it.send("/inspect")
        await it.pilot.pause()
        assert "nothing to look inside" in it.notified
        await it.ask("Hello")
        it.app.service.client._command = ["/nonexistent"]
        await it.app.service.client.close()
        await it.send("/inspect")
        await it.until(lambda: isinstance(it.app.screen, InspectScreen) and inside(it)._problem)
        await it.pilot.pause()
        assert "could not be started" in str(inside(it).query_one("#inside").content)


async def test_the_bundled_model_really(tmp_path: Path) -> None:
    app = HomespunApp(data_dir=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        it = Driver(app, pilot)
        await it.until(lambda: app.service.client.loaded is not None, 60)
        await it.send("/temp 0")
        await it.send("/max 12")
        await it.send("Hello! Who are you?")
        await it.until(lambda: it.screen._live is None, 60)
        screen = await look(it)
        seen = screen.inspection
        text = "".join(piece.text for piece in seen.pieces[seen.prompt :]).replace("↵", "")
        assert text == it.texts[-1]
        special = [piece.text for piece in seen.pieces[: seen.prompt] if piece.special]
        assert special == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
        await it.until(lambda: seen.heat is not None)
        heat = seen.heat
        assert heat is not None
        assert (heat.layers, heat.heads) == (6, 6)
        assert sum(heat.weights(Row(0))) == pytest.approx(1, abs=0.1)
        await pilot.press("right", "right")
        here = seen.pieces[seen.prompt : seen.cursor]
        choices = seen.pieces[seen.cursor].choices
        other = next(c for c in choices if c.token not in (seen.pieces[seen.cursor].token, *seen.end_tokens))
        await pilot.press(str(choices.index(other) + 1))
        await it.until(lambda: it.screen._live is None and len(app.store.tree(1)) == 3, 60)
        begins = "".join(piece.text for piece in here) + other.text
        assert it.texts[-1].startswith(begins.replace("↵", ""))
        assert it.texts[-1] != text
