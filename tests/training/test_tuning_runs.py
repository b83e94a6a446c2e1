"""Runs of the training menu from wish to model, on a tiny random base: every kind, stopped and cut off, on adapters."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from engine.catalog import describe, is_adapter
from engine.email_text.normalise import for_model
from engine.files.model_folder import load
from engine.spam.loading import load_judge
from tests.training.stage_setup import write_base, write_examples
from training.events import read_events
from training.recipe_wish import Wish, save_wish
from training.tuning import estimate, measure
from training.tuning.corrections import lay_out
from training.tuning.preview import preview
from training.tuning.queue import read_state
from training.tuning.run import Tuning

STORIES = Path(training.__path__[0]) / "sample" / "stories.txt"
GENERAL = {"passed": 1, "tried": 2, "percent": 50.0, "groups": {}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base model, and files of each kind."""
    folder = tmp_path_factory.mktemp("tuning")
    write_base(folder / "base")
    write_examples(folder)
    rows = "".join(f"what is {n},it is {n * 7}\n" for n in range(12))
    (folder / "facts.csv").write_text("question,answer\n" + rows)
    (folder / "text.txt").write_text(
        "\n\n".join(f"The boat number {n} is called boat {n * 3}. " * 4 for n in range(30))
    )
    return folder


@pytest.fixture(autouse=True)
def _same_threads_afterwards() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """General questions are not asked: a random model says nothing, and takes long for it."""
    monkeypatch.setattr(measure, "general", lambda _: GENERAL)
    monkeypatch.setattr(measure, "LONGEST", 6)


def wish_of(place: Path, kind: str, file: str, **more: Any) -> Wish:
    fields = {"base": str(place / "base"), "context": 128, "batch_tokens": 512, "replay": False, "threads": 1}
    return Wish(kind, (str(place / file),), "made", **(fields | more))  # type: ignore[arg-type]


def run_in(folder: Path, wish: Wish) -> Path:
    folder.mkdir(parents=True)
    save_wish(wish, folder / "wish.json")
    return folder


def result_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "result.json").read_text())


KINDS = [
    ("answers", "facts.csv", {"epochs": 4.0}),
    ("answers", "facts.csv", {"epochs": 4.0, "method": "full", "held_out": 30.0}),
    ("documents", "text.txt", {"epochs": 2.0}),
    ("feedback", "preferences.jsonl", {"epochs": 1.0}),
    ("labels", "labels.csv", {"epochs": 1.0}),
]


@pytest.mark.parametrize(("kind", "file", "more"), KINDS)
def test_a_wish_becomes_a_model_with_numbers_before_and_after(
    place: Path, tmp_path: Path, quick: None, kind: str, file: str, more: dict[str, Any]
) -> None:
    run = run_in(tmp_path / "runs" / "1", wish_of(place, kind, file, **more))
    assert Tuning(run).go() == "done"
    result = result_of(run)
    made = Path(result["model"])
    info = describe(made)
    assert is_adapter(made) == (kind != "labels" and more.get("method") != "full")
    origin = json.loads((made / "training.json").read_text())
    assert origin["origin"]["run"] == "1"
    assert origin["data_hashes"]
    assert info.size > 0
    names = [row[0] for row in result["rows"]]
    wanted = {
        "answers": "taught questions answered right",
        "documents": "documents, held out",
        "feedback": "words of a reply",
        "labels": "held-out texts labelled right",
    }
    assert wanted[kind] in names
    if kind != "labels":
        assert all(row[1] is not None for row in result["rows"] if row[0] == wanted[kind])
        assert [reply["own"] for reply in result["replies"]].count(False) == measure.FIXED_PROMPTS
    if more.get("held_out"):
        assert "held-out questions answered right" in names


def test_a_model_is_built_from_raw_text_alone(place: Path, tmp_path: Path, quick: None) -> None:
    (place / "stories.txt").write_text(STORIES.read_text()[:60_000])
    wish = Wish("scratch", (str(place / "stories.txt"),), "born", epochs=0.5, chats=False, context=64, threads=1)
    assert Tuning(run_in(tmp_path / "runs" / "1", wish)).go() == "done"
    run = tmp_path / "runs" / "1"
    assert describe(Path(result_of(run)["model"])).parameters


def test_a_classifier_that_is_kept_early_is_measured_and_sure_of_itself_all_the_same(
    place: Path, tmp_path: Path, quick: None
) -> None:
    run = run_in(tmp_path / "runs" / "1", wish_of(place, "labels", "labels.csv", epochs=40.0))
    process = child(run)
    wait_for(lambda: len(steps(run, "classify")) > 2, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 3
    done = len(steps(run, "classify"))
    (run / "keep").touch()
    assert Tuning(run).go() == "done"
    assert len(steps(run, "classify")) == done, "it was not trained on"
    made = Path(result_of(run)["model"])
    assert describe(made).size > 0
    assert json.loads((made / "training.json").read_text())["metrics"]["temperature"] != 1.0


def test_what_a_model_from_nothing_will_cost_is_measured(place: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(estimate, "SECONDS", 0.5)
    (place / "stories.txt").write_text(STORIES.read_text()[:60_000])
    wish = Wish("scratch", (str(place / "stories.txt"),), "born", epochs=0.5, context=64, threads=1)
    found = []
    for number, chats in enumerate((True, False)):
        preview(run_in(tmp_path / str(number), replace(wish, chats=chats)))
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        found.append(next(row for row in rows if row["kind"] == "estimate"))
    with_chats, without = found
    assert with_chats["seconds_per_step"] > 0
    assert with_chats["steps"] > without["steps"] > 0, "the dialogues come on top"


def test_corrections_change_the_shipped_scorer_where_they_should_and_nowhere_else(tmp_path: Path) -> None:
    """The wish `spam`: 200 mails of a kind that is called spam, and is none; other mail is judged as before."""
    mails = [for_model(*quilting(number)) for number in range(240)]
    wrong = [text for text, p in zip(mails, load_judge(None).probabilities(mails), strict=True) if p >= 0.5]
    assert len(wrong) > 100, "the mails are no hard case any more"
    assert len(set(mails[:200])) > 180, "they are one mail again and again"
    run = corrected(tmp_path, [(text, "not spam") for text in mails[:200]])
    (note,) = (note for note in lay_out(Tuning(run).wish).notes if "mixed in" in note)
    assert note.startswith("1,000 old mails are mixed in, and old and new scorer are compared on 1,000 others.")
    assert Tuning(run).go() == "done"
    result = result_of(run)
    (_, before, after, _), (_, *plain, _), (name, general, kept, _) = result["rows"]
    assert plain == [before, after], "what is honest is never unsure: that is below one half"
    assert before < after
    assert after >= 99
    assert name == "1,000 other mails judged right"
    assert 95 < general <= kept + 0.3
    assert not result["warnings"]
    new = load_judge(Path(result["model"]))
    assert sum(new.probabilities(mails[200:]) >= 0.5) <= 2, "others of that kind, which were not learned from"
    known = [for_model(*SPAM)] + [for_model(text) for text in HONEST]
    assert ((new.probabilities(known) >= 0.5) == (load_judge(None).probabilities(known) >= 0.5)).all()


def test_corrections_that_are_lies_are_said_to_make_it_worse(tmp_path: Path) -> None:
    """On a plain install, where what is compared on is what the shipped scorer remembers: everyday talk called spam."""
    lines = (STORIES.parent / "dialogues.jsonl").read_text().splitlines()[:300]
    talks = ["\n".join(turn["content"] for turn in json.loads(line)["messages"])[:800] for line in lines]
    run = corrected(tmp_path, [(for_model(talk), "spam") for talk in talks])
    assert Tuning(run).go() == "done"
    *_, (_, before, after, _) = result_of(run)["rows"]
    assert after < before - 0.3
    assert result_of(run)["warnings"] == ["The new scorer is worse than the old one: better not adopt it."]


def test_a_correction_that_changes_nothing_is_said_to(tmp_path: Path) -> None:
    run = corrected(tmp_path, [(for_model(*SPAM), "spam")])
    assert Tuning(run).go() == "done"
    assert "answers all of them as before" in result_of(run)["warnings"][0]


def corrected(folder: Path, rows: list[tuple[str, str]]) -> Path:
    """A run that is to learn (text, label) `rows`."""
    file = folder / "c.jsonl"
    file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return run_in(folder / "runs" / "1", Wish("spam", (str(file),), "better", threads=1))


def quilting(number: int) -> tuple[str, str]:
    """(text, subject) of a newsletter that sells something to people who have asked for it."""
    luck = random.Random(number)
    what = luck.choice(["quilt", "thread", "cotton", "needle", "pattern"])
    colour = luck.choice(["red", "blue", "ivory", "violet", "striped", "checked", "floral"])
    teacher, day = luck.choice(["Rose", "Hazel", "Iris", "Ivy", "Violet"]), luck.choice(["Monday", "Friday", "Sunday"])
    offer = luck.choice(["Save 20% on every order", "Free shipping on all orders", "Buy two, get one free"])
    text = (
        f"Dear quilter,\n\n{offer} of {colour} {what}s this week only! Click here to order now: "
        f"https://quilts.example/{number}\nOur {what} guild meets {teacher} on {day}. Limited offer, act today.\n"
        "To unsubscribe click below."
    )
    return text, f"{offer}: {what} sale"


SPAM = ("Make money fast from home! Guaranteed income, no risk. Viagra and cheap loans, click here now!!!", "FREE $$$")
HONEST = (
    "Can you send me the minutes of Tuesday's meeting? I could not make it. Thanks, Ada",
    "The patch breaks the build on ARM: undefined reference to foo_init. I will look at it tonight.",
    "Dinner at eight on Saturday? We bring the dessert.",
)


def test_what_was_taught_to_an_adapter_is_merged_with_it(place: Path, tmp_path: Path, quick: None) -> None:
    first = run_in(tmp_path / "runs" / "1", wish_of(place, "answers", "facts.csv", epochs=2.0))
    Tuning(first).go()
    base = result_of(first)["model"]
    second = run_in(tmp_path / "runs" / "2", wish_of(place, "answers", "facts.csv", epochs=2.0, base=base))
    Tuning(second).go()
    made = Path(result_of(second)["model"])
    assert is_adapter(Path(base))
    assert not is_adapter(made)
    old, new = (load(path).model.state_dict() for path in (Path(base), made))
    assert any(not old[name].equal(new[name]) for name in old)


def test_minutes_become_epochs_once(place: Path, tmp_path: Path, quick: None, monkeypatch) -> None:
    monkeypatch.setattr(estimate, "SECONDS", 0.5)
    run = run_in(tmp_path / "runs" / "1", wish_of(place, "answers", "facts.csv", minutes=0.02))
    Tuning(run).go()
    epochs = json.loads((run / "wish.json").read_text())["epochs"]
    assert epochs > 0
    assert Tuning(run).wish.epochs == epochs


# In processes of their own


def child(run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training", "teach", "run", str(run)]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=alone)


def long_run(place: Path, folder: Path, epochs: float = 400.0) -> Path:
    """A run of about a hundred steps whose measuring is done already."""
    run = run_in(folder, wish_of(place, "answers", "facts.csv", epochs=epochs))
    for when in ("before", "after"):
        (run / f"{when}.json").write_text("{}")
    return run


def wait_for(ready, process: subprocess.Popen[bytes] | None = None) -> None:
    limit = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < limit
        assert process is None or process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


def steps(run: Path, stage: str = "sft") -> list[tuple[int, float]]:
    return [(e["step"], e["loss"]) for e in read_events(run / stage / "events.jsonl") if e["kind"] == "step"]


def test_a_run_that_is_stopped_and_killed_ends_as_one_that_was_left_alone(place: Path, tmp_path: Path) -> None:
    whole, cut = (long_run(place, tmp_path / name / "1") for name in ("a", "b"))
    assert child(whole).wait(200) == 0
    process = child(cut)
    wait_for(lambda: len(steps(cut)) > 10, process)
    again = child(cut)  # a second one on the same folder is refused
    assert again.wait(60) == 2
    assert again.stderr is not None
    assert b"in use by another process" in again.stderr.read()
    process.send_signal(signal.SIGSTOP)  # the laptop sleeps
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGCONT)
    done = len(steps(cut))
    wait_for(lambda: len(steps(cut)) > done + 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 3
    assert read_state(cut)["state"] == "paused"
    process = child(cut)
    done = len(steps(cut))
    wait_for(lambda: len(steps(cut)) > done + 10, process)
    process.kill()
    process.wait(60)
    assert child(cut).wait(200) == 0
    assert dict(steps(cut)) == dict(steps(whole))  # to the last bit
    weights = [next(Path(result_of(run)["model"]).glob("*.safetensors")).read_bytes() for run in (whole, cut)]
    assert weights[0] == weights[1]


def test_runs_wait_for_their_turn_and_what_there_is_is_kept(place: Path, tmp_path: Path) -> None:
    first, second = (long_run(place, tmp_path / "runs" / name, 1000.0) for name in ("1", "2"))
    one = child(first)
    wait_for(lambda: len(steps(first)) > 3, one)
    two = child(second)
    wait_for(lambda: read_state(second).get("state") == "waiting", two)
    assert not (second / "sft").exists()
    (first / "keep").touch()
    one.send_signal(signal.SIGTERM)
    assert one.wait(120) == 0
    assert is_adapter(Path(result_of(first)["model"]))
    assert len(steps(first)) < 300
    wait_for(lambda: len(steps(second)) > 1, two)
    two.send_signal(signal.SIGTERM)
    assert two.wait(60) == 3


def test_a_base_that_is_gone_is_said_and_nothing_is_lost(place: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    run = run_in(tmp_path / "runs" / "1", wish_of(place, "answers", "facts.csv", epochs=400.0, base=str(base)))
    for when in ("before", "after"):
        (run / f"{when}.json").write_text("{}")
    process = child(run)
    wait_for(lambda: len(steps(run)) > 3, process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    (base / "model.safetensors").rename(tmp_path / "away")
    process = child(run)
    assert process.wait(60) == 2
    state = read_state(run)
    assert state["state"] == "failed"
    assert "no weights" in state["text"]
    (tmp_path / "away").rename(base / "model.safetensors")
    assert child(run).wait(200) == 0


FULL = """
set -e
mount -t tmpfs -o size=100m none "$DISK"
cp -r "$RUN/." "$DISK"
"$PYTHON" -m training teach run "$DISK" &
set +e
while [ "$(grep -c '"kind": "step"' "$DISK/sft/events.jsonl" 2>/dev/null || echo 0)" -lt 5 ]; do sleep 0.05; done
dd if=/dev/zero of="$DISK/others" bs=64k 2>/dev/null
wait $!
echo $? > "$OUT/first"
cp "$DISK/state.json" "$OUT/full.json"
rm "$DISK/others"
"$PYTHON" -m training teach run "$DISK"
echo $? > "$OUT/second"
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="a disk of our own that can be full takes a mount namespace",
)
def test_a_disk_that_fills_up_in_mid_run_is_said_and_the_run_goes_on_when_there_is_room(
    place: Path, tmp_path: Path
) -> None:
    run = long_run(place, tmp_path / "runs" / "1")
    (tmp_path / "disk").mkdir()
    names = {"DISK": str(tmp_path / "disk"), "RUN": str(run), "OUT": str(tmp_path), "PYTHON": sys.executable}
    alone = {**os.environ, **names, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["unshare", "-m", "sh", "-c", FULL], env=alone, capture_output=True, check=False, timeout=200)
    assert (tmp_path / "first").exists(), done.stderr.decode()
    assert (tmp_path / "first").read_text().strip() == "2"
    state = json.loads((tmp_path / "full.json").read_text())
    assert state["state"] == "failed"
    assert "Make room" in state["text"]
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "second").read_text().strip() == "0"
