"""`python -m training evaluate MODEL_OR_RUN …` and `python -m training plot RUN`.

Evaluating by a recipe, as a stage, is `evaluate.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import EngineError
from training.errors import TrainingError

if TYPE_CHECKING:
    from training.evaluation.models import Wish

HELP = {"help_option_names": ["-h", "--help"]}
FILE = click.Path(path_type=Path)


@contextmanager
def sentences() -> Iterator[None]:
    """What goes wrong is said in one, with exit code 2."""
    try:
        yield
    except (TrainingError, EngineError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or 'the evaluation'}: {error.strerror}.", err=True)
        sys.exit(2)


@click.command(context_settings=HELP)
@click.argument("subject", required=False, metavar="[MODEL_OR_RUN]")
@click.option("--model", help="The same, as an option: a name, a folder, a GGUF file.")
@click.option("--tasks", help="Comma-separated: perplexity, mcq, checks, instructions, samples, labels [default: all].")
@click.option("--text", "texts", multiple=True, type=FILE, help="For perplexity: .txt or .jsonl; may be given often.")
@click.option("--questions", type=FILE, help="For mcq, .jsonl [default: a sample of ours].")
@click.option("--labelled", type=FILE, help="For classifiers: a table with the columns text and label.")
@click.option("--lm-eval", "harness", default="", help="Tasks of EleutherAI's harness, comma-separated.")
@click.option("--include-path", type=FILE, help="A folder with more tasks for the harness.")
@click.option("--limit", type=int, default=0, help="Questions a task [default: all].")
@click.option("--text-tokens", type=int, default=0, help="Tokens of each text that are read [default: all].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32, bf16, int8 or int4.")
@click.option("--data", type=FILE, default=".", help="Of a run: the folder its sources' paths start in.")
@click.option("--out", type=FILE, help="A folder for evaluation.json, card and plots [default: runs/evaluation/NAME].")
@click.option("--card", is_flag=True, help="Put the numbers into the model's own card (its README.md) as well.")
def evaluate_any(subject: str | None, model: str | None, device: str, precision: str, **options: Any) -> None:
    """Measure a model: the bundled one, an imported one, a folder, a GGUF file, an adapter, or what a run has made."""
    with sentences():
        name = model or subject
        if not name:
            raise TrainingError("Say which model or run is to be evaluated, for instance homespun-v0.")
        if is_run(Path(name)):
            evaluate_run(Path(name), device, options["data"])
        else:
            evaluate_folder(name, device, precision, options)


def is_run(path: Path) -> bool:
    return (path / "recipe.json").is_file() and not (path / "config.json").is_file()


def evaluate_run(run: Path, device: str, data: Path) -> None:
    """The stage `evaluate` of a run, by the recipe that was saved with it."""
    from engine.run.device import choose
    from training.data.mix import mixed
    from training.evaluation.evaluate import evaluate
    from training.evaluation.saved_recipe import saved_recipe

    recipe = mixed(saved_recipe(run), run)
    result = evaluate(recipe, run, choose(device).device, data)
    write_plots(result, run / "plots", run)


def evaluate_folder(name: str, device: str, precision: str, options: dict[str, Any]) -> None:
    """Any model's numbers, into a folder of their own."""
    from engine.catalog import find
    from engine.run.device import choose
    from training.evaluation.card import plain_card
    from training.evaluation.models import evaluate_model, summary
    from training.evaluation.sections import into_card

    source = Path(name) if Path(name).exists() else find(name).path
    place = choose(device, precision)
    result = evaluate_model(source, wish_of(source, options), place)
    if options["harness"]:
        from training.evaluation.lm_eval_adapter import run_harness

        tasks = [task.strip() for task in options["harness"].split(",")]
        result["lm_eval"] = run_harness(source, tasks, place, options["limit"], options["include_path"])
    out = options["out"] or Path("runs") / "evaluation" / source.resolve().stem
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    (out / "evaluation.json").write_text(text, encoding="utf-8")
    (out / "README.md").write_text(plain_card(result["model"], result), encoding="utf-8")
    if options["card"]:
        own = (source if source.is_dir() else source.parent) / "README.md"
        before = own.read_text(encoding="utf-8") if own.is_file() else f"# {result['model']}\n"
        own.write_text(into_card(before, result), encoding="utf-8")
    for line in summary(result):
        click.echo(line)
    write_plots(result, out)
    click.echo(f"Everything is in {out}.")


def wish_of(source: Path, options: dict[str, Any]) -> Wish:
    """What the options ask for; without --tasks everything that there is something to ask with."""
    from engine.run.classifier import is_classifier
    from training.evaluation.models import TASKS, Wish

    if options["tasks"]:
        tasks = tuple(task.strip() for task in options["tasks"].split(","))
    elif source.is_dir() and is_classifier(source):
        tasks = ("labels",)
    else:
        without = {"labels"} if options["texts"] else {"labels", "perplexity"}
        tasks = tuple(task for task in TASKS if task not in without) if not options["harness"] else ()
    more = {"questions": options["questions"]} if options["questions"] else {}
    return Wish(
        tasks,
        options["texts"],
        labelled=options["labelled"],
        limit=options["limit"],
        text_tokens=options["text_tokens"],
        **more,
    )


def write_plots(result: dict[str, Any], folder: Path, run: Path | None = None) -> None:
    """Whatever of the result can be drawn; where the library is not there, that is said."""
    from training.evaluation.curves import curve_charts, reliability_chart, run_charts
    from training.evaluation.plots import save_charts, terminal_chart

    charts = []
    if labels := result.get("labels"):
        charts += [reliability_chart(labels["calibration"]["bins"]), *curve_charts(labels["curves"])]
    elif (mcq := result.get("mcq")) and mcq["bins"]:
        charts.append(reliability_chart(mcq["bins"], "calibration (multiple choice)"))
    if run is not None:
        charts += run_charts(run)
    try:
        for chart in charts if labels else ():
            click.echo(terminal_chart(chart) + "\n")
        if charts:
            save_charts(charts, folder)
    except TrainingError as error:
        click.echo(f"No plots: {error}", err=True)


@click.command(context_settings=HELP)
@click.argument("run", type=FILE)
@click.option("--out", type=FILE, help="Where the PNG and SVG files go [default: RUN/plots].")
@click.option("--smooth", type=int, default=0, help="Steps that the training loss is a mean of [default: a fiftieth].")
@click.option("--terminal/--no-terminal", default=True, help="Draw here as well.")
def plot(run: Path, out: Path | None, smooth: int, terminal: bool) -> None:
    """Draw a run's loss, held-out numbers and learning rate; calibration and PR/ROC curves once it is evaluated."""
    with sentences():
        from training.evaluation.curves import curve_charts, reliability_chart, run_charts
        from training.evaluation.plots import save_charts, terminal_chart

        charts = run_charts(run, smooth)
        if (run / "evaluation.json").is_file():
            labels = json.loads((run / "evaluation.json").read_text(encoding="utf-8")).get("labels")
            if labels:
                charts += [reliability_chart(labels["calibration"]["bins"]), *curve_charts(labels["curves"])]
        for chart in charts if terminal else ():
            click.echo(terminal_chart(chart) + "\n")
        for path in save_charts(charts, out or run / "plots"):
            click.echo(str(path))


def command_for(words: list[str]) -> Callable[..., Any] | None:
    """The command of this module that `words` (of the command line) ask for, if any: a stage takes a recipe instead."""
    if words[:1] == ["plot"]:
        return plot
    if words[:1] == ["evaluate"] and not any(word.endswith(".toml") for word in words[1:]):
        return evaluate_any
    return None
