"""The training menu as one uses it: form, preview, run, comparison, adoption and the way back, at several sizes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from textual.widgets import Button, Input, OptionList, Static

from assistant.learning import looking
from assistant.screens.learning.form import FormScreen
from assistant.screens.learning.menu import MenuScreen
from assistant.screens.learning.result import ResultScreen
from assistant.screens.learning.review import ReviewScreen
from assistant.screens.learning.run import RunScreen
from assistant.screens.learning.see import SeeScreen
from assistant.screens.learning.typed import TypeScreen
from assistant.screens.learning.vote import VoteScreen
from assistant.storage.verdicts import SPAM_TASK
from assistant.verdicts.settings import SpamSettings
from assistant.widgets.reply import ReplyView
from engine.email_text.normalise import VERSION
from tests.assistant.test_learning import FAKE


@pytest.fixture
def teaching(opened, monkeypatch):
    """The app whose training processes are fake ones."""
    monkeypatch.setattr(looking.Child.__init__, "__kwdefaults__", {"command": tuple(FAKE)})

    def start(size=(80, 24)):
        return opened(size)

    return start


async def to_menu(it) -> MenuScreen:
    it.screen.runs._command = FAKE
    await it.pilot.press("ctrl+l")
    await it.until(lambda: isinstance(it.app.screen, MenuScreen))
    await it.pilot.pause()
    return it.app.screen


def words(screen, selector: str) -> str:
    """What stands there; nothing while the screen is being made."""
    return " ".join(str(found.content) for found in screen.query(selector).results(Static))


@pytest.mark.parametrize("size", [(80, 24), (50, 12)])
async def test_answers_are_taught_compared_adopted_and_taken_back(teaching, tmp_path: Path, size) -> None:
    (tmp_path / "facts.csv").write_text("question,answer\nWho?,Me.\n")
    async with teaching(size) as it:
        await to_menu(it)
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.pilot.press("ctrl+s")
        assert "which data" in words(it.app.screen, "#problem")
        it.app.screen.query_one("#f-files", Input).value = str(tmp_path / "facts.csv")
        await it.pilot.press("ctrl+r")
        await it.until(lambda: isinstance(it.app.screen, SeeScreen))
        await it.until(lambda: "1 min 1 s" in words(it.app.screen, "#estimate"))
        assert "1 learned from · 1 left out (1 no answer)" in words(it.app.screen, "#title")
        await it.pilot.press("d")
        assert it.app.screen.query_one(OptionList).option_count == 1
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, RunScreen))
        await it.until(lambda: "step" in words(it.app.screen, "#numbers"))
        await it.until(lambda: isinstance(it.app.screen, ResultScreen))  # by itself, at the end
        await it.pilot.pause()
        await it.until(lambda: "lost 6.0 points" in words(it.app.screen, "#warnings"))
        await it.pilot.press("ctrl+s")
        await it.until(lambda: it.screen._service.model.key == "mine")
        assert it.app.shelf.default()[0].key == "mine"
        await to_menu(it)
        await it.pilot.press("b")
        await it.until(lambda: it.screen._service.model.key == "homespun-v0")
        assert it.app.shelf.default()[0].key == "homespun-v0"


async def test_the_spam_check_learns_from_corrections_in_the_menu(teaching) -> None:
    async with teaching((120, 40)) as it:
        menu = await to_menu(it)
        assert menu._sources["spam"].count() == ""
        for text in ("buy a watch", "lunch"):
            values = {"name": "", "subject": "", "sender": "", "shown": text, "text": text, "normaliser": VERSION}
            verdict = it.app.store.begin_verdict(SPAM_TASK, {**values, "raw": None}, {})
            it.app.store.label_verdict(verdict, "not spam")
        menu.query_one(OptionList).highlighted = menu._entries.index(("kind", "spam"))
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        form = it.app.screen
        assert words(form, "#problem") == "2 corrections (2 not spam)."
        form.query_one("#review", Button).press()
        await it.until(lambda: isinstance(it.app.screen, ReviewScreen))
        assert "buy a watch" in str(it.app.screen.query_one(OptionList).options[0].prompt)
        await it.pilot.press("space", "escape")
        await it.until(lambda: it.app.screen is form)
        assert words(form, "#problem") == "1 correction (1 not spam), 1 left out."
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, ResultScreen))
        run = menu._runs.all()[0]
        assert json.loads(Path(run.wish.files[0]).read_text())["text"] == "lunch"
        await it.pilot.press("ctrl+s")
        await it.until(lambda: "spam-1 judges from now on" in it.notified)
        await it.until(lambda: it.app.screen is menu)
        await it.until(
            lambda: "adopted" in str(menu.query_one(OptionList).options[menu._entries.index(("run", run.key))].prompt)
        )
        assert SpamSettings(it.app.shelf.paths).in_use().folder.name == "spam-1"


async def test_a_run_goes_on_while_one_chats_and_is_paused_and_deleted_from_the_menu(teaching, tmp_path: Path) -> None:
    async with teaching() as it:
        menu = await to_menu(it)
        await it.pilot.press("enter")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.pilot.press("ctrl+e")
        await it.until(lambda: isinstance(it.app.screen, TypeScreen))
        it.app.screen.query_one("#typed").text = "Q: Who?\nA: Me."
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, FormScreen))
        await it.until(lambda: "typed" in it.app.screen.query_one("#f-files", Input).value)
        it.app.screen.query_one("#f-epochs", Input).value = "99"
        await it.pilot.press("ctrl+s")
        await it.until(lambda: isinstance(it.app.screen, RunScreen))
        await it.pilot.press("escape")
        await it.until(lambda: it.app.screen is menu)
        run = menu._runs.all()[0]
        assert (run.folder / "typed.md").read_text() == "Q: Who?\nA: Me."  # the run's own copy
        await it.pilot.press("escape")
        await it.ask("Hello")
        assert it.replies[-1]
        menu = await to_menu(it)
        at = menu._entries.index(("run", run.key))
        menu.query_one(OptionList).highlighted = at
        await it.pilot.press("p")
        await it.until(lambda: menu._runs.all()[0].state == "paused")
        await it.pilot.press("delete")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.until(lambda: not menu._runs.all())


async def test_marks_are_kept_shown_and_counted_and_a_bad_reply_may_be_given_a_better_one(teaching) -> None:
    async with teaching() as it:
        await it.ask("Hello")
        it.transcript.focus()
        await it.pilot.press("plus")
        await it.until(lambda: it.screen.history()[-1].mark == 1)
        assert "homespun  good" in it.screen.query(ReplyView).last().text
        await it.pilot.press("plus")
        await it.until(lambda: it.screen.history()[-1].mark == 0)
        await it.pilot.press("minus")
        await it.until(lambda: it.app.screen is not it.screen)
        it.app.screen.query_one("Prompt").fill("Better so.")
        await it.pilot.press("enter")
        await it.until(lambda: it.app.screen is it.screen)
        reply = it.screen.history()[-1]
        await it.until(lambda: it.screen.store.mark_of(reply.id) == (-1, "Better so."))
        menu = await to_menu(it)
        line = str(menu.query_one(OptionList).get_option_at_index(3).prompt)
        assert "1 mark so far" in line


async def test_voting_is_blind_and_counts_for_the_right_model(teaching) -> None:
    import random

    async with teaching() as it:
        pairs = [{"prompt": str(n), "before": f"old {n}", "after": f"new {n}"} for n in range(6)]
        told: list[object] = []
        it.app.push_screen(VoteScreen(pairs, random.Random(4)), told.append)
        await it.pilot.pause()
        sides = set()
        for _ in pairs:
            a = words(it.app.screen, "#reply-a")
            sides.add("new" in a)
            await it.pilot.press("a" if "new" in a else "b")
        await it.until(lambda: bool(told))
        assert told == [(0, 6, 0)]
        assert sides == {True, False}


def test_the_screens_need_no_heavy_package() -> None:
    import subprocess

    code = "import assistant.screens.learning.menu, sys; print({'torch', 'numpy', 'plotext'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
