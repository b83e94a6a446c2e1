"""Settings over a recipe, and `training tune`: what it tries, real short trials, going on, and the table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.conftest import command
from tests.training.loop_setup import events, losses
from training.recipe import LoRARecipe, RecipeError, load_recipe
from training.sweep.space import draw, grid, read_field, read_variants
from training.sweep.table import markdown, plain, ranked, write_tables
from training.sweep.trials import Result, last_words, share

RECIPE = (
    '[data]\nsources = [{ name = "a", path = "a.txt", licence = "x" }, { name = "b", path = "b", licence = "x" }]\n'
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "r.toml").write_text(RECIPE + "[pretrain]\nlr = 0.5\n")
    return tmp_path / "r.toml"


def test_settings_go_over_what_the_file_says(recipe: Path) -> None:
    settings = (
        "pretrain.lr=0.25", "pretrain.optimizer=adamw", "sft.lora.rank=4", "sft.lora.targets=['q', 'v']",
        "data.sources.b.epochs=3", "data.quality.on=false", "export.name=7", "pretrain.lr=0.125",
    )  # fmt: skip
    made = load_recipe(recipe, settings)
    assert (made.pretrain.lr, made.pretrain.optimizer) == (0.125, "adamw"), "the last word counts"
    assert made.sft.lora == LoRARecipe(4, targets=("q", "v"))
    assert [source.epochs for source in made.data.sources] == [1, 3]
    assert not made.data.quality.on
    assert made.export.name == "7", "a field for words takes them as they are"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("pretrain.lrr=1", "did you mean lr"),
        ("pretain.lr=1", "did you mean pretrain"),
        ("pretrain.lr=quick", "lr must be of type float, not 'quick'"),
        ("pretrain.optimizer=adam", "optimizer must be one of"),
        ("lr=1", "write table.field=value"),
        ("pretrain.lr", "write table.field=value"),
        ("pretrain=3", "write table.field=value"),
        ("data.sources.c.epochs=2", "no source 'c'"),
        ("sft.lora.rnk=2", "did you mean rank"),
        ("pretrain.context=4096", "context must fit"),
        ("data.quality=3", "must be a table"),
    ],
)
def test_a_setting_that_cannot_be_is_a_sentence(recipe: Path, setting: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(recipe, [setting])


def test_a_grid_is_every_combination_once() -> None:
    axes = [read_field("pretrain.lr=0.1, 0.2,0.1"), read_field("sft.lora.targets=['q','v'],['q']")]
    assert grid([*axes, read_variants(["", "model.mlp=gelu model.d_ff=96"])])[:3] == [
        ("pretrain.lr=0.1", "sft.lora.targets=['q','v']"),
        ("pretrain.lr=0.1", "sft.lora.targets=['q','v']", "model.mlp=gelu", "model.d_ff=96"),
        ("pretrain.lr=0.1", "sft.lora.targets=['q']"),
    ]
    assert len(grid(axes)) == 4


def test_random_points_lie_in_their_ranges_and_are_the_same_for_a_seed() -> None:
    axes = [read_field("pretrain.lr=1e-4..1e-1"), read_field("model.n_layer=2..8"), read_field("pretrain.seed=1,2")]
    points = draw(axes, 50, seed=3)
    assert points == draw(axes, 50, seed=3) != draw(axes, 50, seed=4)
    rates = [float(point[0].partition("=")[2]) for point in points]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert 15 < sum(rate < 3.16e-3 for rate in rates) < 35, "drawn by the logarithm: as many below the middle as above"
    assert {int(point[1].partition("=")[2]) for point in points} == set(range(2, 9)), "whole numbers stay whole"
    assert sorted(draw([read_field("a.b=1,2,3")], 9, seed=1)) == [("a.b=1",), ("a.b=2",), ("a.b=3",)]


@pytest.mark.parametrize(
    ("field", "trials", "sentence"),
    [
        ("pretrain.lr", None, "not a field to try"),
        ("pretrain.lr=", None, "not a field to try"),
        ("pretrain.lr=1,,2", None, "a value missing"),
        ("pretrain.lr=0.2..0.1", None, "from a lower number"),
        ("pretrain.lr=0.1..0.2", None, "say with --trials"),
        ("pretrain.lr=0.1..0.2", 0, "from 1 to 1000"),
        ("pretrain.seed=" + ",".join(map(str, range(1001))), None, "1,001 combinations"),
    ],
)
def test_a_space_that_cannot_be_is_a_sentence(field: str, trials: int | None, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        grid([read_field(field)]) if trials is None else draw([read_field(field)], trials, 1)


def test_the_table_has_the_best_first_and_failures_last(tmp_path: Path) -> None:
    results = [
        Result(["x.a=1"], "done", {"bits_per_byte": 2.0}, 3, 600, 2.0, 10),
        Result(["x.a=2"], "failed", note="it | broke"),
        Result([], "done", {"bits_per_byte": 1.5}, 3, 600, 4.0, 10),
    ]
    assert [result.settings for result in ranked(results)] == [[], ["x.a=1"], ["x.a=2"]]
    rows = [line.split("\t") for line in write_tables(tmp_path, results).read_text().splitlines()]
    assert rows[0][:3] == ["place", "settings", "bits per byte"]
    assert rows[1] == ["1", "(the recipe as it is)", "1.5000", "600", "3", "0.1", "150", "10", "done"]
    assert (rows[3][0], rows[3][-1]) == ("", "failed: it | broke")
    assert (tmp_path / "table.md").read_text() == markdown(results)
    assert "it \\| broke" in markdown(results)
    lines = plain(results).splitlines()
    assert lines[1].index("1.5000") == lines[2].index("2.0000")


def test_a_trial_shares_the_large_files_and_copies_the_small(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "documents" / "train" / "texts.jsonl").write_bytes(b"x" * 2_000_000)
    share(run, tmp_path / "trial", "sft")
    large, small = Path("documents/train/texts.jsonl"), Path("tokens_report.json")
    assert os.path.samefile(run / large, tmp_path / "trial" / large)
    assert not os.path.samefile(run / small, tmp_path / "trial" / small)
    assert (run / small).stat().st_mtime_ns == (tmp_path / "trial" / small).stat().st_mtime_ns
    assert (tmp_path / "trial" / "pretrain" / "checkpoint.pt").exists(), "what sft starts from"
    assert not (tmp_path / "trial" / "sft").exists()


def test_the_last_words_are_the_error(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("1 of 2\nError: The recipe is wrong.\nand more\n")
    assert last_words(tmp_path) == "The recipe is wrong."


def tune_command(corpus: Path, run: Path, *words: str) -> list[str]:
    recipe = str(corpus / "recipe.toml")
    return [sys.executable, "-m", "training", "tune", recipe, "--data", str(corpus), "--run", str(run), *words]


def tune(corpus: Path, run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(tune_command(corpus, run, *words), capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_trials_are_real_runs_done_once(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """Three trials: one as the recipe is, one with a vocabulary of its own, one that its own data cannot feed."""
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("sft", "model"))
    before = (run / "shards" / "train" / "texts.tokens").read_bytes()
    words = ["--set", "pretrain.steps=4", "--variant", "", "--variant", "tokenizer.vocab_size=300"]
    first = tune(corpus, run, *words, "--variant", "data.sources.texts.path=nosuch.txt")
    assert first.returncode == 0, first.stderr
    rows = [line.split("\t") for line in (run / "tune" / "table.tsv").read_text().splitlines()[1:]]
    states = {row[1]: row[-1] for row in rows}
    assert states["(the recipe as it is)"] == states["tokenizer.vocab_size=300"] == "done"
    assert "nothing matches" in states["data.sources.texts.path=nosuch.txt"]
    assert {row[4] for row in rows if row[-1] == "done"} == {"4"}
    results = [json.loads(path.read_text()) for path in (run / "tune").glob("*/result.json")]
    assert len({result["parameters"] for result in results}) == 2, "20 words fewer"
    assert (run / "shards" / "train" / "texts.tokens").read_bytes() == before, "the base run's tokens are untouched"
    assert not list((run / "tune").glob("*/pretrain/checkpoint.pt"))
    times = {path: path.stat().st_mtime_ns for path in (run / "tune").glob("*/log.txt")}
    again = tune(corpus, run, *words)
    assert "2 of 2 trials were done before" in again.stdout
    assert times == {path: path.stat().st_mtime_ns for path in times}


@pytest.mark.slow
def test_a_stopped_search_goes_on_where_it_stopped(corpus: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("pretrain", "sft", "model"))
    words = ("--field", "pretrain.lr=0.01", "--set", "data.sources.texts.epochs=300", "--set", "pretrain.steps=100")
    process = subprocess.Popen(tune_command(corpus, run, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not any(losses(log) for log in (run / "tune").glob("*/pretrain")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    assert b"goes on from here" in said
    done = tune(corpus, run, *words)
    assert done.returncode == 0, done.stderr
    (trial,) = (run / "tune").glob("lr=*")
    starts = [event["step"] for event in events(trial / "pretrain", "start")]
    assert starts[0] == 0 < starts[1]
    assert sorted(losses(trial / "pretrain")) == list(range(1, 101))


@pytest.mark.slow
def test_a_trial_is_as_long_as_its_minutes(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """Its speed is measured, then its schedule ends with its steps, which the recipe's data would not have had."""
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("pretrain", "sft", "model"))
    more = ("--field", "pretrain.lr=0.01", "--minutes", "0.15", "--set", "data.sources.texts.epochs=3000")
    done = tune(corpus, run, *more)
    assert done.returncode == 0, done.stderr
    (trial,) = (run / "tune").glob("lr=*")
    steps = json.loads((trial / "steps.json").read_text())["steps"]
    assert [event["steps"] for event in events(trial / "pretrain", "start")] == [steps]
    assert json.loads((trial / "result.json").read_text())["steps"] == steps
    assert events(trial / "pretrain", "step")[-1]["lr_scale"] < 2.1 / steps, "the rate has fallen to nothing"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "nothing to try"),
        (("--field", "pretrain.lrr=1,2"), "did you mean lr"),
        (("--field", "pretrain.lr=fast"), "must be of type float"),
        (("--field", "pretrain.lr=1", "--minutes", "-1"), "--minutes must be above 0"),
    ],
)
def test_bad_wishes_are_one_sentence(corpus: Path, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    done = tune(corpus, tmp_path / "run", *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_stages_take_settings_too(corpus: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(corpus, "prepare", tmp_path / "run", "--set", "data.valid_percent=20", "--set", "export.name=other"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert (saved["data"]["valid_percent"], saved["export"]["name"]) == (20, "other")
