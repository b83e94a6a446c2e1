"""Every stage on tiny examples: it learns, an interruption changes nothing, and what it leaves opens in the engine."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import ModelFolderError
from engine.files.model_folder import load
from engine.run.classifier import TextClassifier
from engine.run.translator import Translator
from tests.training.stage_setup import RECIPE, job_of, recipe_in, with_lora, write_base, write_examples
from training.__main__ import TRAINED
from training.data.shards import open_shard
from training.errors import TrainingError
from training.events import read_events
from training.recipe import RecipeError
from training.stages.job import Job
from training.stages.start import trained

STAGES = tuple(TRAINED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples, and the base model in `base`."""
    folder = tmp_path_factory.mktemp("stages")
    write_base(folder / "base")
    write_examples(folder)
    return folder


def run_stage(name: str, job: Job) -> bool:
    module, function = TRAINED[name].split(".")
    return getattr(importlib.import_module(f"training.stages.{module}"), function)(job)


def losses(job: Job, stage: str) -> dict[int, float]:
    return {e["step"]: e["loss"] for e in read_events(job.folder(stage) / "events.jsonl") if e["kind"] == "step"}


def weights(job: Job, stage: str) -> dict[str, torch.Tensor]:
    return torch.load(job.folder(stage) / "checkpoint.pt", weights_only=True)["model"]


@pytest.mark.parametrize("lora", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("stage", STAGES)
def test_stopped_after_every_step_is_as_if_it_had_not_been(
    folder: Path, tmp_path: Path, stage: str, lora: bool
) -> None:
    if lora and stage == "translate":
        pytest.skip("it starts from nothing")
    recipe = recipe_in(folder, with_lora(RECIPE, stage) if lora else RECIPE)
    whole = job_of(folder, tmp_path / "whole", recipe)
    assert run_stage(stage, whole)
    steps = len(losses(whole, stage))
    assert steps >= 4
    pieces = job_of(folder, tmp_path / "pieces", recipe, max_minutes=0.0)
    sittings = 1
    while not run_stage(stage, pieces):
        sittings += 1
    assert sittings >= steps
    assert losses(pieces, stage) == losses(whole, stage), "to the last bit"
    ours, theirs = weights(pieces, stage), weights(whole, stage)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run in which every stage has been done, one after the other."""
    job = job_of(folder, tmp_path_factory.mktemp("done") / "run", recipe_in(folder))
    for stage in ("pretrain", "sft", "dpo", "mlm", "classify", "translate"):
        assert run_stage(stage, job), stage
    return job


def test_each_stage_starts_from_the_one_before_it(done: Job) -> None:
    parents = {stage: json.loads((done.folder(stage) / "start.json").read_text())["parent"] for stage in STAGES}
    assert "base model" in parents["pretrain"]
    assert parents["sft"] == parents["mlm"] == "the pretrain stage"
    assert (parents["dpo"], parents["classify"]) == ("the sft stage", "the mlm stage")


@pytest.mark.parametrize("stage", ["pretrain", "sft", "dpo"])
def test_what_a_stage_made_opens_in_the_engine(done: Job, stage: str) -> None:
    opened = load(done.folder(stage) / "model")
    assert opened.template is not None
    ids = torch.randint(0, 259, (2, 20), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(opened.model(ids), trained(done.recipe, done.run, stage)(ids))


def test_the_classifier_opens_and_is_calibrated(done: Job) -> None:
    model = TextClassifier.load(done.folder("classify") / "model")
    assert model.labels == ("calm", "loud")
    training = json.loads((done.folder("classify") / "model" / "training.json").read_text())
    assert training["metrics"]["temperature"] == pytest.approx(model.config.temperature)
    assert training["metrics"]["temperature"] != 1.0
    assert set(training["data_hashes"]) == {"labels.csv"}
    assert model.classify(["The dog."])[0].label in model.labels


def test_the_translator_opens_and_is_measured(done: Job) -> None:
    model = Translator.load(done.folder("translate") / "model")
    assert isinstance(model.translate(["The dog."])[0], str)
    metrics = json.loads((done.folder("translate") / "model" / "training.json").read_text())["metrics"]
    assert metrics["sentences"] == 4
    assert 0 <= metrics["chrf"] <= 100
    assert "nrefs" in metrics["bleu_signature"]


@pytest.mark.parametrize("stage", ["sft", "dpo", "pretrain"])
@pytest.mark.parametrize("chained", [False, True], ids=["on the base", "on a stage"])
def test_an_adapter_lies_beside_its_base_and_merges_into_what_was_trained(folder, tmp_path, stage, chained) -> None:
    recipe = recipe_in(folder, with_lora(RECIPE, stage))
    job = job_of(folder, tmp_path / "run", recipe)
    if chained and stage != "pretrain":
        run_stage("pretrain", job)
    assert run_stage(stage, job)
    opened = load(job.folder(stage) / "adapter")
    ids = torch.randint(0, 259, (2, 20), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(opened.model(ids), trained(recipe, job.run, stage)(ids), atol=1e-5, rtol=1e-5)
    assert (job.folder(stage) / "base").exists() == (chained and stage != "pretrain")
    shutil.copytree(job.folder(stage), tmp_path / "moved")
    assert load(tmp_path / "moved" / "adapter")
    measured = "margin" if stage == "dpo" else "bits per byte"
    card = (job.folder(stage) / "adapter" / "README.md").read_text()
    assert f"| {measured} |" in card
    assert str(folder) not in card, "a card knows no machine's paths"


def test_a_model_for_every_way_of_training_a_classifier(folder: Path, tmp_path: Path) -> None:
    moved: dict[str, set[str]] = {}
    for train in ("all", "last_block", "head"):
        recipe = recipe_in(folder)
        recipe = replace(recipe, classify=replace(recipe.classify, train=train, pooling="mean", causal=False))
        job = job_of(folder, tmp_path / train, recipe)
        run_stage("classify", job)
        before, after = load(folder / "base").model.state_dict(), weights(job, "classify")
        moved[train] = {name for name, tensor in before.items() if not torch.equal(tensor, after[f"body.{name}"])}
        assert TextClassifier.load(job.folder("classify") / "model").config.pooling == "mean"
    assert moved["head"] == set()
    assert moved["last_block"] == {n for n in before if n.startswith("blocks.1.")} | {"norm.weight"}
    assert moved["all"] == set(before)


def test_a_reference_model_is_asked_once(folder: Path, tmp_path: Path, monkeypatch) -> None:
    from training.stages import dpo

    job = job_of(folder, tmp_path / "run", recipe_in(folder), max_minutes=0.0)
    assert not run_stage("dpo", job)
    assert (job.folder("dpo") / "reference.npz").exists()
    monkeypatch.setattr(dpo.DPO, "_measure", lambda *_: pytest.fail("it was asked again"))
    assert not run_stage("dpo", job)
    (folder / "other.jsonl").write_text("\n".join((folder / "preferences.jsonl").read_text().splitlines()[:20]))
    changed = replace(job.recipe, dpo=replace(job.recipe.dpo, files="other.jsonl"))
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        run_stage("dpo", replace(job, recipe=changed))


@pytest.mark.parametrize(
    ("stage", "change", "sentence"),
    [
        ("sft", {"BASE": "no-such-model"}, "There is no model called 'no-such-model'"),
        ("classify", {'files = "labels.csv"': 'files = "nosuch.csv"'}, "nothing matches 'nosuch.csv'"),
        ("classify", {'files = "labels.csv"': 'files = "labels.csv"\ntext = "body"'}, "no column 'body'; it has text"),
        ("classify", {'files = "labels.csv"': 'files = "labels.csv"\nlabels = ["x", "y"]'}, "has the label 'calm'"),
        ("classify", {"labels.csv": "one.csv"}, "'rare' has [01] training example"),
        ("classify", {"labels.csv": "same.csv"}, "only the label 'calm'"),
        ("dpo", {"preferences.jsonl": "empty.jsonl"}, "holds no rows"),
        ("dpo", {"preferences.jsonl": "alike.jsonl"}, "no preference pair that can be learned from .*2 same"),
        ("dpo", {"preferences.jsonl": "labels.csv"}, "no column 'prompt'; it has text, label"),
        ("translate", {'files = "pairs.tsv"': 'files = "pairs.tsv"\nsource = "en"'}, "no column 'en'"),
        ("translate", {"vocab_size = 300": "vocab_size = 3000"}, "lower vocab_size"),
        ("pretrain", {"context = 64": "context = 256", "tokens = 256": "tokens = 512"}, "made for 128 tokens"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence(folder, tmp_path, stage, change, sentence) -> None:
    (folder / "one.csv").write_text((folder / "labels.csv").read_text() + "Once upon a time,rare\n")
    (folder / "same.csv").write_text("text,label\na b c,calm\nd e f,calm\n")
    (folder / "empty.jsonl").write_text("\n")
    alike = [{"prompt": p, "chosen": "yes", "rejected": "yes"} for p in "ab"]
    (folder / "alike.jsonl").write_text("\n".join(map(json.dumps, alike)))
    job = job_of(folder, tmp_path / "run", recipe_in(folder))
    with pytest.raises((RecipeError, ModelFolderError), match=sentence):
        run_stage(stage, replace(job, recipe=recipe_in(folder, **change)))


@pytest.mark.parametrize("stage", ["pretrain", "sft", "mlm"])
def test_little_that_is_held_out_is_measured_all_the_same(folder: Path, tmp_path: Path, capsys, stage: str) -> None:
    """Also where it does not fill a micro-batch; and where it does not fill a row, that is said."""
    recipe = recipe_in(folder)
    wide = replace(getattr(recipe, stage), batch_tokens=2048, micro_tokens=1024, valid_every=1000, steps=1)
    job = job_of(folder, tmp_path / "run", replace(recipe, **{stage: wide}))
    held_out = len(open_shard(job.run, "valid", "chats").tokens)
    assert 64 < held_out < 1024, "a row, and no micro-batch"
    assert run_stage(stage, job)
    events = read_events(job.folder(stage) / "events.jsonl")
    (valid,) = [event for event in events if event["kind"] == "valid"]
    assert valid.get("bits_per_byte", valid.get("loss")) > 0
    assert "too little is held out" not in capsys.readouterr().out
    np.save(job.run / "shards" / "valid" / "chats.offsets.npy", np.zeros(1, np.int64))
    shutil.rmtree(job.folder(stage))
    assert run_stage(stage, job)
    assert f"{stage}: too little is held out to be measured" in capsys.readouterr().out


def test_tokens_of_another_vocabulary_are_refused(folder: Path, tmp_path: Path) -> None:
    job = job_of(folder, tmp_path / "run", recipe_in(folder))
    other = recipe_in(folder, BASE="homespun-v0")
    with pytest.raises(RecipeError, match="another vocabulary than the model's"):
        run_stage("sft", replace(job, recipe=other))
    shutil.rmtree(job.run / "shards")
    with pytest.raises(RecipeError, match="no tokens"):
        run_stage("sft", job)


def test_nothing_to_start_from_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_in(folder)
    missing = replace(recipe, dpo=replace(recipe.dpo, start_from="sft"))
    with pytest.raises(RecipeError, match="start from 'sft', which is not there"):
        run_stage("dpo", job_of(folder, tmp_path / "run", missing))
    alone = replace(recipe, translate=replace(recipe.translate, files=""))
    with pytest.raises(RecipeError, match=r"no \[translate\] table"):
        run_stage("translate", job_of(folder, tmp_path / "run", alone))


def test_other_examples_are_another_run(folder: Path, tmp_path: Path) -> None:
    (folder / "mine.csv").write_text((folder / "labels.csv").read_text())
    job = job_of(folder, tmp_path / "run", recipe_in(folder, **{"labels.csv": "mine.csv"}), max_minutes=0.0)
    assert not run_stage("classify", job)
    text = (folder / "mine.csv").read_text()
    (folder / "mine.csv").write_text(text.replace("THE", "A"))
    with pytest.raises(TrainingError, match=r"of another recipe: examples was .* --fresh"):
        run_stage("classify", job)
    (folder / "mine.csv").write_text(text)
    assert not run_stage("classify", job)


IN_TURN = """
import sys
from training.__main__ import main
for stage in sys.argv[1].split(","):
    main([stage, *sys.argv[2:]], standalone_mode=False)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_does(folder: Path, tmp_path: Path) -> None:
    """Every stage but the language model's, which has a test of its own; in turn, since starting takes longest."""
    stages = ("classify", "dpo", "mlm", "translate")
    text = RECIPE.replace("dropout = 0.1\n", "").replace("d_ff = 32\n", "d_ff = 32\ndropout = 0.0\n")
    recipe = recipe_in(folder, text)
    path, child = folder / "two.toml", tmp_path / "child.py"
    path.write_text(text.replace("BASE", str(folder / "base")))
    child.write_text(IN_TURN)
    one, two = (job_of(folder, tmp_path / name, recipe) for name in ("one", "two"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [str(child), ",".join(stages), str(path), "--data", str(folder), "--run-folder", str(two.run)]
    done = subprocess.run([*torchrun, *command], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for stage in stages:
        assert run_stage(stage, one)
        assert losses(two, stage) == pytest.approx(losses(one, stage), rel=5e-3)  # sums in another order, in bf16
        assert (two.folder(stage) / "model" / "model.safetensors").exists(), "the first of them writes what was made"
