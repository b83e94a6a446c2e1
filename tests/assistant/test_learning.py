"""Runs without a screen: started, paused, gone on with, kept, cut off, adopted, rolled back; and what marks come to."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from assistant.errors import LearningError
from assistant.learning import adopting
from assistant.learning.chart import chart, sparkline, thinned
from assistant.learning.feedback import Feedback
from assistant.learning.naming import free_name
from assistant.learning.progress import Progress
from assistant.learning.pruning import prune
from assistant.learning.runs import Run, Runs
from assistant.models.shelf import Shelf
from assistant.paths import Paths
from assistant.storage.feedback import BAD, GOOD
from assistant.storage.store import Store
from training.recipe_wish import Wish

FAKE = [sys.executable, str(Path(__file__).parent / "fake_training.py")]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "data")


@pytest.fixture
def runs(paths: Paths) -> Runs:
    return Runs(paths, FAKE)


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    (tmp_path / "facts.csv").write_text("question,answer\nWho?,Me.\n")
    return Wish("answers", (str(tmp_path / "facts.csv"),), "mine")


def until(ready, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def state(runs: Runs, run: Run) -> str:
    found = runs.find(run.key)
    assert found is not None
    return found.state


def steps(run: Run) -> int:
    path = run.folder / "sft" / "checkpoint.pt"
    return int(path.read_text() or 0) if path.exists() else 0


def trained(runs: Runs, wish: Wish) -> Run:
    run = runs.start(wish)
    until(lambda: state(runs, run) == "done")
    return runs.named(run.key)


def test_a_run_is_paused_found_again_by_another_window_and_goes_on_from_its_checkpoint(
    runs: Runs, paths: Paths, wish: Wish
) -> None:
    run = runs.start(wish)
    until(lambda: steps(run) > 3)
    other = Runs(paths, FAKE)  # which has not started it
    assert other.named("mine").state == "training"
    other.pause(other.named("mine"))
    until(lambda: state(runs, run) == "paused")
    done = steps(run)
    with pytest.raises(LearningError, match="nothing to keep"):
        other.keep(trained(runs, Wish("answers", wish.files, "other")))
    other.resume(other.named("mine"))
    until(lambda: steps(run) > done)
    progress = Progress(run.folder, run.stages)
    progress.look()
    assert [step for step, _ in progress.train] == list(range(1, progress.step + 1))
    assert progress.train[0][1] == 3.0
    other.cancel(other.named("mine"))
    assert not run.folder.exists()


def test_what_was_learned_so_far_is_kept(runs: Runs, wish: Wish) -> None:
    run = runs.start(wish)
    with pytest.raises(LearningError, match="nothing to keep"):
        runs.keep(run)
    until(lambda: steps(run) > 3)
    runs.keep(runs.named("mine"))
    until(lambda: state(runs, run) == "done")
    assert steps(run) < 100


def test_a_run_that_was_killed_says_so_and_goes_on(runs: Runs, paths: Paths, wish: Wish) -> None:
    run = runs.start(wish)
    until(lambda: steps(run) > 3)
    pid = runs.named("mine").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: state(runs, run) == "cut off")
    assert Runs(paths, FAKE).named("mine").can_resume
    before = steps(run)
    runs.resume(runs.named("mine"))
    with pytest.raises(LearningError, match="under way already"):
        runs.resume(runs.named("mine"))
    until(lambda: steps(run) > before)
    runs.cancel(runs.named("mine"))


def test_a_process_number_that_is_used_again_is_not_taken_for_the_run(runs: Runs, paths: Paths, wish: Wish) -> None:
    run = runs.start(wish)
    until(lambda: steps(run) > 1)
    runs.cancel(run)
    run.folder.mkdir()
    (run.folder / "wish.json").write_text(json.dumps({"kind": "answers", "files": ["x"], "name": "mine"}))
    (run.folder / "state.json").write_text(json.dumps({"state": "training", "pid": os.getpid()}))
    (run.folder / "lock").touch()
    assert Runs(paths, FAKE).named("mine").state == "cut off"


def test_a_run_that_fails_says_why(runs: Runs, wish: Wish) -> None:
    run = runs.start(Wish("answers", ("/nowhere/facts.csv",), "mine"))
    until(lambda: state(runs, run) == "failed")
    assert runs.named("mine").text == "There is no file facts.csv."
    with pytest.raises(LearningError, match="name"):
        runs.start(Wish("answers", wish.files))
    with pytest.raises(LearningError, match="data"):
        runs.start(Wish("answers", (), "mine"))


def test_adopting_makes_it_the_default_and_one_step_back_is_always_there(runs: Runs, paths: Paths, wish: Wish) -> None:
    shelf = Shelf(paths)
    with pytest.raises(LearningError, match="nothing to go back to"):
        adopting.roll_back(shelf)
    first, second = trained(runs, wish), trained(runs, wish)
    assert adopting.adopt(shelf, first).key == "mine"
    assert adopting.adopt(shelf, second).key == "mine-2"
    assert adopting.adopt(shelf, second).key == "mine-2"  # once only
    assert shelf.default()[0].key == "mine-2"
    assert [(b.info.key, b.depth) for b in adopting.tree(shelf)] == [("homespun-v0", 0), ("mine", 1), ("mine-2", 1)]
    assert adopting.roll_back(shelf).key == "mine"
    shelf.remove("mine")  # which makes the bundled one the default
    assert adopting.adopt(shelf, second).key == "mine-2"
    assert adopting.before(shelf) == "homespun-v0"
    assert adopting.roll_back(shelf).key == "homespun-v0"
    freed = prune(runs.named(first.key))
    assert freed >= 0
    assert Path(first.result["model"]).is_dir()


def test_names_of_models_are_free_and_made_of_plain_letters() -> None:
    assert free_name("Für Oma!", set()) == "F-r-Oma"
    assert free_name("mine", {"Mine", "mine-2"}) == "mine-3"
    assert free_name("…", set()) == "mine"


def test_marks_better_answers_and_edits_become_pairs_and_nothing_else(tmp_path: Path) -> None:
    store = Store(None)
    chat, _, reply = store.begin_turn(None, "Who are you?", "t", "m")
    store.finish(reply, "A long story.", "complete")
    feedback = Feedback(store)
    assert feedback.pairs() == []
    store.mark(reply, BAD, "Homespun.")
    again = store.begin_again(chat, "m")
    assert again is not None
    store.finish(again, "I am Homespun.", "complete")
    store.mark(again, GOOD)
    store.revise(again, "Your model.")
    pairs = [(p.question, p.chosen, p.rejected) for p in feedback.pairs()]
    asked = "Who are you?"
    assert pairs == [
        (asked, "Homespun.", "A long story."),
        (asked, "I am Homespun.", "A long story."),
        (asked, "Your model.", "A long story."),
    ]
    out = {feedback.pairs()[0].key}
    lines = feedback.write(tmp_path / "p.jsonl", out).read_text().splitlines()
    assert [json.loads(line)["chosen"] for line in lines] == ["I am Homespun.", "Your model."]
    store.mark(again, 0, "")
    assert store.mark_of(again) == (0, "")
    store.remove_branch(reply)  # a mark goes with its message
    assert store.marks_count() == 0


def test_the_chart_draws_what_there_is_and_says_when_there_is_nothing() -> None:
    assert "begins" in chart([], [], "", 60, 10).plain
    points = [(n, 10.0 / n) for n in range(1, 2000)]
    drawn = chart(points, [(1000, 0.5)], "bits per byte", 60, 12).plain
    assert len(drawn.splitlines()) == 12
    assert "held out (bits per byte)" in drawn
    assert len(thinned(points)) <= 400
    assert sparkline([(1, 4.0), (2, 1.0)], 30).plain == "4.00 █▁ 1.00"
