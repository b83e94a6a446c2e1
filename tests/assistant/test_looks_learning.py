"""How teaching looks: the menu, the form of a run, its preview, the run, what came of it, voting and reviewing."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, Static

from assistant.learning import looking
from assistant.learning.runs import Runs
from assistant.screens.learning.form import FormScreen
from assistant.screens.learning.menu import MenuScreen
from assistant.screens.learning.result import ResultScreen
from assistant.screens.learning.review import ReviewScreen
from assistant.screens.learning.run import RunScreen
from assistant.screens.learning.see import SeeScreen
from assistant.screens.learning.typed import TypeScreen
from assistant.screens.learning.vote import VoteScreen
from assistant.storage.feedback import GOOD
from tests.assistant.album import SIZES, Album
from tests.assistant.model_files import hollow
from training.recipe_wish import Kind, Wish, save_wish

# What `python -m training teach preview` prints, cut short.
PREVIEW = r"""
import json
def say(**told): print(json.dumps(told), flush=True)
def row(place, *parts, problem="", note=""):
    say(kind="row", place=place, parts=parts, tokens=len(parts) * 4, problem=problem, note=note)
row("facts.csv, line 2", ["<|im_start|>user\nWhat is", 0], [" my boat", 0], [" called?", 0], [" Your boat is", 1],
    [" called", 1], [" Velmora.", 1])
row("facts.csv, line 3", ["Who am I?", 0], [" Ada.", 1], note="in other words")
row("facts.csv, line 4", ["Where is the key?", 0], problem="no answer")
say(kind="summary", counts={"learned": 2, "no answer": 1}, tokens=36, epochs=12, shown=3, rows=3, notes=[],
    warnings=["2 examples are few: what it learns may be brittle. Ten or more are better."])
say(kind="estimate", parameters=12600000, trained=310000, steps=90, seconds=61.0, tokens_per_second=850, memory_mb=500,
    disk_mb=60, warnings=[])
"""
REPLIES = [
    {"prompt": "What is my boat called?", "before": "I do not know.", "after": "It is called Velmora.", "own": True},
    {
        "prompt": "Why is the sky blue?",
        "before": "Because of the light.",
        "after": "Because of the light.",
        "own": False,
    },
]
RESULT = {
    "rows": [
        ["taught questions answered right", 0.0, 95.0, "%"],
        ["general questions", 66.0, 60.0, "%"],
        ["dialogues held out", 1.234, 1.301, "bits per byte"],
    ],
    "warnings": ["It lost 6.0 points at general questions."],
    "replies": REPLIES,
    "base": "homespun-v0",
}


def make_run(runs: Runs, name: str, state: str, text: str = "", kind: Kind = "answers", **result: object) -> Path:
    """A run's folder as its process leaves it."""
    folder = runs.folder / f"20260102-03040{len(runs.all())}-{name}"
    folder.mkdir(parents=True)
    save_wish(Wish(kind, ("/home/ada/facts.csv",), name), folder / "wish.json")
    (folder / "state.json").write_text(json.dumps({"state": state, "pid": 1, "text": text}))
    if result:
        hollow(folder / "model" / name, 25_200_000, parameters=12_600_000)
        (folder / "result.json").write_text(json.dumps({**result, "model": str(folder / "model" / name)}))
    (folder / "sft").mkdir()
    events = [{"kind": "start", "step": 0, "steps": 90, "parameters": 12_600_000, "trained": 310_000}]
    for step in range(1, 61):
        events.append({"kind": "step", "step": step, "steps": 90, "loss": 0.4 + 3 / step, "lr": 0.0002})
        events[-1] |= {"tokens_per_second": 850, "eta_seconds": 21.0, "memory_mb": 480}
        if step % 20 == 0:
            events.append({"kind": "valid", "step": step, "loss": 0.8 + 3 / step})
            events.append({"kind": "sample", "step": step, "text": "Your boat is called Velmora."})
    (folder / "sft" / "events.jsonl").write_text(
        "".join(json.dumps(e | {"time": n}) + "\n" for n, e in enumerate(events))
    )
    return folder


async def to_menu(it: Album) -> MenuScreen:
    await it.pilot.press("ctrl+l")
    await it.shows(MenuScreen)
    return it.app.screen


def at(it: Album, entry: tuple[str, str]) -> None:
    menu = it.app.screen
    menu.query_one(OptionList).highlighted = menu._entries.index(entry)


@SIZES
async def test_the_way_to_a_run(album, size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "facts.csv").write_text("question,answer\nWho?,Me.\n")
    monkeypatch.setattr(looking.Child.__init__, "__kwdefaults__", {"command": (sys.executable, "-c", PREVIEW)})
    async with album(size) as it:
        await to_menu(it)
        await it.take("teach_menu_new")
        await it.pilot.press("enter")
        await it.shows(FormScreen)
        await it.take("teach_form")
        await it.pilot.press("ctrl+e")
        await it.shows(TypeScreen)
        await it.take("teach_typing")
        await it.pilot.press("escape")
        await it.shows(FormScreen)
        it.app.screen.query_one("#f-files", Input).value = "facts.csv"
        await it.pilot.press("ctrl+r")
        await it.shows(SeeScreen)
        await it.until(lambda: "1 min" in str(it.app.screen.query_one("#estimate", Static).content))
        await it.take("teach_preview")
        await it.pilot.press("escape", "escape")
        await it.shows(MenuScreen)
        at(it, ("kind", "scratch"))
        await it.pilot.press("enter")
        await it.shows(FormScreen)
        await it.take("teach_form_scratch")


@SIZES
async def test_runs_and_what_came_of_them(album, size, monkeypatch: pytest.MonkeyPatch) -> None:
    async with album(size) as it:
        runs = it.screen.runs
        make_run(runs, "liked", "failed", "There is no file /home/ada/likes.csv any more.")
        make_run(runs, "reader", "paused", "stopped")
        busy, done = make_run(runs, "sorter", "training", "training"), make_run(runs, "mine", "done", **RESULT)
        monkeypatch.setattr(Runs, "_lives", lambda *_: True)
        await to_menu(it)
        at(it, ("run", busy.name))
        await it.take("teach_menu")
        await it.pilot.press("enter")
        await it.shows(RunScreen)
        await it.until(lambda: "step 60" in str(it.app.screen.query_one("#numbers", Static).content))
        await it.take("teach_run")
        await it.pilot.press("escape")
        await it.shows(MenuScreen)
        at(it, ("run", next(run.key for run in runs.all() if run.state == "failed")))
        await it.pilot.press("enter")
        await it.shows(RunScreen)
        await it.take("teach_run_failed")
        await it.pilot.press("escape")
        await it.shows(MenuScreen)
        at(it, ("run", done.name))
        await it.pilot.press("enter")
        await it.shows(ResultScreen)
        await it.take("teach_result")
        it.app.push_screen(VoteScreen(REPLIES, random.Random(4)))
        await it.take("teach_vote")


@SIZES
async def test_reviewing_ones_marks(album, size) -> None:
    async with album(size) as it:
        await it.ask("Hello, who are you?")
        reply = it.screen.history()[-1]
        it.screen.store.mark(reply.id, -1, "I am homespun, a small assistant on this computer.")
        await it.pilot.press("f5")
        await it.until(lambda: it.screen._live is None and len(it.app.store.tree(1)) == 3)
        it.screen.store.mark(it.screen.history()[-1].id, GOOD)
        await to_menu(it)
        at(it, ("kind", "feedback"))
        await it.pilot.press("enter")
        await it.shows(FormScreen)
        await it.take("teach_form_feedback")
        it.app.push_screen(ReviewScreen(it.app.screen._source, set()))
        await it.shows(ReviewScreen)
        await it.pilot.press("space")
        await it.take("teach_review")
