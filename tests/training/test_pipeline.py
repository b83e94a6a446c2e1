"""The stages as real processes: what they write, and that an interruption changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from engine.files.model_folder import load
from engine.protocol import Delta, Done, Generate, SamplingParams
from engine.run.generate import Generator
from tests.training.conftest import command
from training.evaluation.card import model_card
from training.evaluation.evaluate import evaluate
from training.events import EventLog, read_events
from training.export.export import export
from training.recipe import load_recipe


def losses(run: Path, stage: str) -> dict[int, float]:
    """Loss by step; a step that was done twice counts as it was last."""
    return {e["step"]: e["loss"] for e in read_events(run / stage / "events.jsonl") if e["kind"] == "step"}


def copy_before(finished: Path, stage: str, run: Path) -> Path:
    """A run folder in which everything before `stage` is done."""
    shutil.copytree(finished, run)
    for later in ("pretrain", "sft")[("pretrain", "sft").index(stage) :]:
        shutil.rmtree(run / later)
    return run


def test_the_exported_folder_answers_and_has_its_card(finished: Path) -> None:
    folder = finished / "model" / "mini"
    generator = Generator(load(folder))
    request = Generate("1", ({"role": "user", "content": "the dog"},), SamplingParams(max_tokens=8, seed=1))
    events = list(generator.reply(request))
    assert isinstance(events[-1], Done)
    assert "".join(e.text for e in events if isinstance(e, Delta))
    card = (folder / "README.md").read_text()
    for words in ("bits per byte", "Apache-2.0", "tokens seen", "Twenty prompts", "python -m training all", "**all**"):
        assert words in card
    assert card.count("\n> ") >= 20
    assert "/tmp" not in card, "a card knows no machine's paths"
    training = json.loads((folder / "training.json").read_text())
    assert set(training["data_hashes"]) == {"chats", "texts"}
    assert training["metrics"]["pretrain"]["bits_per_byte"] > 0


def test_a_model_that_has_only_read_texts_is_measured_and_exported(
    corpus: Path, finished: Path, tmp_path: Path
) -> None:
    """As one does with nanoGPT: no tuning, and still a folder that opens here and elsewhere, and says what it is."""
    shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("sft", "model", "evaluation.json"))
    recipe = load_recipe(corpus / "recipe.toml")
    evaluate(recipe, tmp_path / "run", torch.device("cpu"))
    folder = export(recipe, tmp_path / "run", tmp_path, corpus / "recipe.toml")
    card = (folder / "README.md").read_text()
    assert "A small language model" in card
    assert "has not been tuned to answer" in card
    assert "How often it succeeds" not in card, "questions are for models that answer"
    assert "for stage in prepare tokenizer pretrain evaluate export; do" in card
    assert "| chats |" in card.partition("bits per byte")[2]
    assert load(folder).model(torch.zeros(1, 4, dtype=torch.int64)).shape == (1, 4, 320)


def test_a_card_tells_the_margins_of_preferences(corpus: Path, finished: Path) -> None:
    found = json.loads((finished / "evaluation.json").read_text())
    found["dpo"] = {"tokens": 9, "seconds": 1.0, "accuracy": 0.75, "margin": 0.1234}
    tokens = json.loads((finished / "tokens_report.json").read_text())
    card = model_card(load_recipe(corpus / "recipe.toml"), found, tokens, "make it")
    assert "| held-out preferences | 75.0% the right way round, implicit reward margin 0.123 |" in card
    assert "9 in preference tuning" in card


def test_it_learns(finished: Path) -> None:
    for stage in ("pretrain", "sft"):
        values = list(losses(finished, stage).values())
        assert sum(values[-5:]) < sum(values[:5]) * 0.9, stage


@pytest.mark.parametrize(
    ("stage", "how"),
    [
        ("pretrain", signal.SIGKILL),
        ("pretrain", signal.SIGINT),
        ("sft", signal.SIGKILL),
        ("sft", signal.SIGTERM),
    ],
)
def test_an_interrupted_stage_has_the_same_losses(corpus, finished, tmp_path, stage, how) -> None:
    run = copy_before(finished, stage, tmp_path / "run")
    process = subprocess.Popen(command(corpus, stage, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    total = len(losses(finished, stage))
    while len(losses(run, stage)) < total // 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    status = process.wait(60)
    assert status == (-signal.SIGKILL if how == signal.SIGKILL else 3), "stopped before its end"
    assert 0 < len(losses(run, stage)) < total
    subprocess.run(command(corpus, stage, run), check=True, capture_output=True)
    starts = [e["step"] for e in read_events(run / stage / "events.jsonl") if e["kind"] == "start"]
    assert starts[0] == 0
    assert starts[1] > 0, "it went on and did not begin again"
    assert losses(run, stage) == losses(finished, stage), "to the last bit"
    ours = torch.load(run / stage / "checkpoint.pt", weights_only=True)["model"]
    theirs = torch.load(finished / stage / "checkpoint.pt", weights_only=True)["model"]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_max_minutes_ends_a_slice_with_a_checkpoint(corpus: Path, finished: Path, tmp_path: Path) -> None:
    run = copy_before(finished, "pretrain", tmp_path / "run")
    done = subprocess.run(command(corpus, "pretrain", run, "--max-minutes", "0"), capture_output=True, text=True)
    assert done.returncode == 3
    assert "goes on from here" in done.stderr
    assert (run / "pretrain" / "checkpoint.pt").exists()


def test_what_is_missing_is_a_sentence(corpus: Path, tmp_path: Path) -> None:
    for stage, words in (
        ("sft", "no vocabulary in"),
        ("evaluate", "the sft stage first"),
        ("export", "the sft stage first"),
    ):
        done = subprocess.run(command(corpus, stage, tmp_path / "empty"), capture_output=True, text=True)
        assert done.returncode == 2, stage
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    done = subprocess.run(
        [*command(corpus, "prepare", tmp_path / "r")[:-4], "--data", "/nowhere", "--run", str(tmp_path / "r")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "nothing matches" in done.stderr


def test_events_cut_short_by_a_kill_are_read(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.write("step", step=1)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    assert [e["step"] for e in read_events(tmp_path / "events.jsonl")] == [1]


FEWER = (
    "--set",
    "pretrain.steps=12",
    "--set",
    "sft.steps=110",
    "--set",
    "sft.batch_tokens=1024",
    "--set",
    "sft.micro_tokens=1024",
)


@pytest.mark.slow
def test_train_tiny_end_to_end(tmp_path: Path) -> None:
    """What `make train-tiny` does: from the raw text in the repository to a model that answers in the app's engine.

    A part of its steps: the sentences are poorer, and the test takes one minute instead of four.
    """
    root = Path(__file__).parent.parent.parent
    recipe, data = root / "training/recipes/tiny.toml", root / "training/sample"
    began = time.monotonic()
    subprocess.run(
        [
            *command(data, "all", tmp_path / "run")[:4],
            str(recipe),
            "--data",
            str(data),
            "--run",
            str(tmp_path / "run"),
            *FEWER,
        ],
        check=True,
        capture_output=True,
        env=os.environ,
    )
    print(f"train-tiny took {time.monotonic() - began:.0f} s")
    generator = Generator(load(tmp_path / "run" / "model" / "tiny"))
    params, ended = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=60), 0
    for words in ("Hello!", "Hi there!", "How are you?", "Good morning!"):  # what a processor rounds decides about one
        events = list(generator.reply(Generate("1", ({"role": "user", "content": words},), params)))
        text = "".join(e.text for e in events if isinstance(e, Delta))
        assert len(text.split()) >= 2
        ended += events[-1].reason == "stop"
    assert ended >= 3
