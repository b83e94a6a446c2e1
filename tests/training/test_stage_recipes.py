"""The recipes that ship run from a clean checkout, on the sample that ships, and learn something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.files.model_folder import load
from engine.run.classifier import TextClassifier
from engine.run.translator import Translator
from training.__main__ import main
from training.data.grouping import held_out
from training.data.tables import read_table

ROOT = Path(__file__).parent.parent.parent / "training"


def run(recipe: str, run: Path, *stages: str, steps: int = 0) -> None:
    """Do `stages` of a recipe that ships, in this process; the first that trains ends after `steps`, if given."""
    fewer = [f"--set={next(s for s in stages if s not in ('prepare', 'tokenizer'))}.steps={steps}"] if steps else []
    for stage in stages:
        words = [stage, str(ROOT / "recipes" / f"{recipe}.toml"), *fewer, "--data", str(ROOT / "sample")]
        done = CliRunner().invoke(main, [*words, "--run", str(run)])
        assert done.exit_code == 0, done.output[-2000:]


def metrics(folder: Path) -> dict:
    return json.loads((folder / "training.json").read_text())["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "stages"), [("tiny-classify", ("classify",)), ("tiny-mlm", ("mlm", "classify"))])
def test_a_classifier(tmp_path: Path, recipe: str, stages: tuple[str, ...]) -> None:
    masked = "mlm" in stages
    run(recipe, tmp_path, *(("prepare", "tokenizer") if masked else ()), *stages, steps=30 if masked else 0)
    model = TextClassifier.load(tmp_path / "classify" / "model")
    rows = list(read_table(ROOT / "sample", "labels.csv", ("text", "label"), "[x]"))
    unseen = [row for row in rows if held_out(row["text"], 20.0)]
    said = model.classify([row["text"] for row in unseen])
    right = sum(one.label == row["label"] for one, row in zip(said, unseen, strict=True))
    assert right / len(unseen) > 0.9
    assert metrics(tmp_path / "classify" / "model")["accuracy"] == pytest.approx(right / len(unseen), abs=0.03)


@pytest.mark.slow
def test_preferences(tmp_path: Path) -> None:
    run("tiny-dpo", tmp_path, "dpo")
    assert load(tmp_path / "dpo" / "adapter").template is not None
    steps = [json.loads(line) for line in (tmp_path / "dpo" / "events.jsonl").read_text().splitlines()]
    steps = [step for step in steps if step["kind"] == "step"]
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["margin"] > 0
    assert steps[-1]["accuracy"] > 0.7


@pytest.mark.slow
def test_additions_to_the_bundled_model(tmp_path: Path) -> None:
    run("tiny-lora", tmp_path, "prepare", "tokenizer", "sft", steps=8)
    config = json.loads((tmp_path / "sft" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "homespun-v0"
    assert (tmp_path / "sft" / "adapter" / "adapter_model.safetensors").stat().st_size < 2_000_000


@pytest.mark.slow
def test_additions_learn_invented_facts(tmp_path: Path) -> None:
    """The recipe runs; that facts are learned whole is shown with forty of them in test_tuning_end_to_end.py."""
    run("tiny-facts", tmp_path, "prepare", "tokenizer", "sft", steps=60)
    losses = [json.loads(line) for line in (tmp_path / "sft" / "events.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in losses if event["kind"] == "step"]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


@pytest.mark.slow
def test_translations(tmp_path: Path) -> None:
    run("tiny-translate", tmp_path, "translate")
    assert metrics(tmp_path / "translate" / "model")["chrf"] > 70
    assert Translator.load(tmp_path / "translate" / "model").translate(["I see a boat."]) == ["Ich sehe ein Boot."]
