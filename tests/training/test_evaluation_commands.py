"""`evaluate` and `plot`: any model, a run, a classifier; files, plots and card; sentences for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from engine.catalog import BUNDLED
from engine.run.classifier import Classifier, ClassifierConfig, TextClassifier, save_classifier
from tests.training.stage_setup import job_of, recipe_in, write_base, write_examples
from tests.training.test_export_hf import SMALL, random_model
from training.data.tokenizer import tokenizer_json
from training.evaluation.commands import command_for, evaluate_any, plot
from training.evaluation.curves import Chart, Line, run_charts
from training.evaluation.evaluate import evaluate
from training.evaluation.plots import terminal_chart
from training.evaluation.saved_recipe import saved_recipe
from training.evaluation.sections import BEGIN, into_card
from training.events import EventLog
from training.export.export import export
from training.export.gguf_export import export_gguf
from training.recipe import load_recipe
from training.stages.classify import classify


def run(command: Any, *words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(command, list(map(str, words)))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("t") / "text.txt"
    path.write_text("The dog ran to the river. " * 10)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Classifier(random_model(SMALL), ClassifierConfig(("ham", "spam"), context=64)).eval()
    torch.nn.init.normal_(model.score.weight, generator=torch.Generator().manual_seed(0))
    files = {"tokenizer.json": json.dumps(tokenizer_json({bytes([byte]): byte for byte in range(256)}))}
    folder = tmp_path_factory.mktemp("c") / "filter"
    save_classifier(folder, model, files, training={"name": "filter"}, card="# filter\n\nMine.\n")
    return folder


def test_a_model_in_a_folder(text: Path, tmp_path: Path) -> None:
    tasks = "perplexity,mcq,checks,instructions,samples"
    words = ("--model", BUNDLED / "homespun-v0", "--text", text, "--tasks", tasks, "--limit", "3", "--out", tmp_path)
    code, said = run(evaluate_any, *words, "--device", "cpu", "--precision", "fp32")
    assert code == 0, said
    assert "text.txt: " in said
    made = json.loads((tmp_path / "evaluation.json").read_text())
    assert made["texts"]["text.txt"]["bytes"] == 260
    assert made["mcq"]["questions"] == len(made["replies"]) == made["instructions"]["prompts"] == 3
    assert sum(group["tried"] for group in made["checks"]["groups"].values()) == 9
    card = (tmp_path / "README.md").read_text()
    for number in (
        f"{made['texts']['text.txt']['bits_per_byte']:.3f}",
        f"{made['texts']['text.txt']['perplexity']:.2f}",
        f"{made['mcq']['accuracy_byte']:.1%}",
        f"{made['instructions']['prompt_strict']:.1%}",
        f"{made['parameters']:,}",
        "temperature 0.3",
        made["replies"][0][1].split("\n")[0],
    ):
        assert number in card, number
    assert "unseen" not in card, "nobody knows what a model in a folder was trained on"
    assert (tmp_path / "calibration.png").stat().st_size > 5000
    assert (tmp_path / "calibration.svg").read_text().startswith("<?xml")


def test_a_gguf_file_by_its_path_says_the_same(text: Path, tmp_path: Path) -> None:
    file = tmp_path / "h.gguf"
    export_gguf(BUNDLED / "homespun-v0", file, "bf16")
    numbers = []
    for model in (file, "homespun-v0"):
        code, said = run(
            evaluate_any, model, "--text", text, "--tasks", "perplexity,mcq", "--limit", 5, "--out", tmp_path / "o",
            "--device", "cpu", "--precision", "fp32",
        )  # fmt: skip
        assert code == 0, said
        numbers.append(json.loads((tmp_path / "o" / "evaluation.json").read_text()))
    assert numbers[0]["mcq"]["accuracy_sum"] == numbers[1]["mcq"]["accuracy_sum"]
    assert numbers[0]["texts"]["text.txt"]["bits_per_byte"] == numbers[1]["texts"]["text.txt"]["bits_per_byte"]


def test_a_classifier_with_its_card(classifier: Path, tmp_path: Path) -> None:
    table = tmp_path / "mails.csv"
    table.write_text("text,label\n" + "".join(f"mail number {i},{('ham', 'spam')[i % 3 == 0]}\n" for i in range(60)))
    code, said = run(evaluate_any, classifier, "--labelled", table, "--out", tmp_path / "o", "--card")
    assert code == 0, said
    assert "calibration" in said
    assert "┤" in said, "drawn in the terminal"
    made = json.loads((tmp_path / "o" / "evaluation.json").read_text())["labels"]
    assert made["report"]["count"] == 60
    for kind in ("calibration", "roc", "precision-recall"):
        assert (tmp_path / "o" / f"{kind}.png").stat().st_size > 5000
        assert (tmp_path / "o" / f"{kind}.svg").is_file()
    card = (classifier / "README.md").read_text()
    assert card.startswith("# filter\n\nMine.\n")
    for number in (
        made["report"]["labels"]["spam"]["f1"],
        made["curves"]["ham"]["roc"]["area"],
        made["report"]["matthews"],
    ):
        assert f"{number:.3f}" in card
    for key in ("expected_error", "largest_error", "brier", "log_loss"):
        assert f"{made['calibration'][key]:.4f}" in card
        assert f"{made['calibration']['scaled'][key]:.4f}" in card
    again = into_card(card, {"device": "CPU", "labels": made})
    assert again.count(BEGIN) == 1, "numbers are replaced, not added"


def test_what_is_wrong_is_one_sentence(classifier: Path, text: Path, tmp_path: Path) -> None:
    table = tmp_path / "odd.csv"
    table.write_text("text,label\nhello,egg\n")
    for words, expected in (
        ((), "Say which model or run"),
        (("nothing-such",), "There is no model called"),
        (("homespun-v0", "--tasks", "perplexity"), "needs a text"),
        (("homespun-v0", "--tasks", "spelling"), "no task 'spelling'"),
        (("homespun-v0", "--tasks", "labels"), "--labelled FILE"),
        (("homespun-v0", "--tasks", "labels", "--labelled", table), "writes text and has no labels"),
        ((classifier, "--tasks", "mcq"), "is a classifier, which cannot do mcq"),
        ((classifier, "--labelled", table), "the label 'egg', which the model does not know"),
        (("homespun-v0", "--text", tmp_path / "none.txt", "--tasks", "perplexity"), "nothing matches"),
        (("homespun-v0", "--questions", tmp_path / "none", "--tasks", "mcq"), "cannot be read"),
        (("homespun-v0", "--device", "toaster"), "no device called"),
    ):
        code, said = run(evaluate_any, *words, "--out", tmp_path / "o")
        assert code == 2, said
        assert expected in said
        assert said.strip().count("\n") == 0, said
    for words, expected in (((tmp_path / "none",), "no run folder"), ((tmp_path,), "logged no training step")):
        code, said = run(plot, *words)
        assert code == 2
        assert expected in said


def log_run(folder: Path) -> Path:
    log = EventLog(folder / "pretrain" / "events.jsonl")
    for step in [*range(1, 81), *range(61, 101)]:  # twenty steps were done twice
        log.write("step", step=step, loss=100.0 / step + step % 2, lr_scale=min(step / 10, 1.0), tokens=step)
        if step % 20 == 0:
            log.write("valid", step=step, bits_per_byte=3 - step / 100)
    return folder


def test_curves_of_a_run(tmp_path: Path) -> None:
    loss, rate, bits = run_charts(log_run(tmp_path), smooth=2)
    assert [chart.kind for chart in (loss, rate, bits)] == [
        "pretrain-loss", "pretrain-learning-rate", "pretrain-bits-per-byte",
    ]  # fmt: skip
    assert loss.lines[0].x == tuple(map(float, range(1, 101))), "each step once"
    assert loss.lines[0].y[9] == pytest.approx((100 / 10 + 100 / 9 + 1) / 2), "the mean over two steps"
    assert rate.lines[0].y[4] == 0.5
    assert bits.lines[0].y == pytest.approx((2.8, 2.6, 2.4, 2.2, 2.0))


def test_plot_draws_here_and_into_files(tmp_path: Path) -> None:
    code, said = run(plot, log_run(tmp_path), "--out", tmp_path / "p")
    assert code == 0, said
    assert "pretrain: loss" in said
    assert "bits per byte" in said
    files = sorted(path.name for path in (tmp_path / "p").iterdir())
    assert files == sorted(
        f"pretrain-{what}.{kind}" for what in ("loss", "learning-rate", "bits-per-byte") for kind in ("png", "svg")
    )
    svg = (tmp_path / "p" / "pretrain-loss.svg").read_text()
    assert "pretrain: loss" in svg
    run(plot, tmp_path, "--out", tmp_path / "q", "--no-terminal")
    assert (tmp_path / "q" / "pretrain-loss.svg").read_text() == svg, "the same run draws the same file"


def test_lines_are_told_apart_without_colours() -> None:
    lines = (Line("one", (0.0, 1.0), (0.0, 1.0)), Line("two", (0.0, 1.0), (1.0, 0.0)))
    drawn = terminal_chart(Chart("x", "title", "x", "y", lines), width=60, height=12)
    assert "\x1b" not in drawn
    assert "•" in drawn
    assert max(map(len, drawn.split("\n"))) <= 60


def test_which_command_is_meant() -> None:
    assert command_for(["evaluate", "training/recipes/tiny.toml"]) is None
    assert command_for(["evaluate", "--model", "homespun-v0"]) is evaluate_any
    assert command_for(["plot", "runs/tiny"]) is plot
    assert command_for(["pretrain", "x"]) is None


def test_a_runs_recipe_comes_back_as_it_was(tmp_path: Path) -> None:
    recipes = Path(__file__).parent.parent.parent / "training" / "recipes"
    for path in sorted(recipes.glob("*.toml")):
        recipe = load_recipe(path)
        (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_dict()))
        assert saved_recipe(tmp_path) == recipe, path.name


def test_a_run_that_made_a_classifier(tmp_path: Path) -> None:
    """The stage measures it on what was held out, puts that into its card, and export takes both along."""
    write_base(tmp_path / "base")
    write_examples(tmp_path)
    recipe = recipe_in(tmp_path)
    job = job_of(tmp_path, tmp_path / "run", recipe)
    assert classify(job)
    made = evaluate(recipe, job.run, job.device, job.data)["labels"]
    assert made["report"]["count"] == json.loads((job.run / "classify" / "start.json").read_text())["held_out"]
    folder = export(recipe, job.run, tmp_path / "out", tmp_path / "recipe.toml")
    card = (folder / "README.md").read_text()
    assert f"{made['calibration']['expected_error']:.4f}" in card
    assert f"{made['report']['labels']['loud']['f1']:.3f}" in card
    ours, theirs = (TextClassifier.load(path) for path in (folder, job.run / "classify" / "model"))
    assert torch.equal(ours.probabilities(["Hello"]), theirs.probabilities(["Hello"]))


def test_a_whole_run(finished: Path, tmp_path: Path) -> None:
    """By its folder alone: the same numbers as the stage has written, its card with all of them, and its plots."""
    before = json.loads((finished / "evaluation.json").read_text())
    code, said = run(evaluate_any, finished, "--device", "cpu")
    assert code == 0, said
    after = json.loads((finished / "evaluation.json").read_text())
    assert after["sources"] == before["sources"]
    assert after["mcq"] == before["mcq"]
    assert set(after["sources"]) == {"chats", "texts"}
    card = (finished / "model" / "mini" / "README.md").read_text()
    for source in after["sources"].values():
        assert f"{source['bits_per_byte']:.3f}" in card
        assert f"{source['perplexity']:.2f}" in card
    assert f"{after['mcq']['accuracy_byte']:.1%}" in card
    assert "Instructions it keeps to" in card
    assert (finished / "plots" / "sft-loss.png").is_file()
