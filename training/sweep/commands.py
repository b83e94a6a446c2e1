"""`python -m training tune RECIPE`: short runs of a recipe with some of its fields changed, and a table of them."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from engine.errors import EngineError
from training.errors import TrainingError
from training.loop.lock import only_one
from training.recipe import RecipeError, load_recipe
from training.sweep.space import Settings, draw, grid, read_field, read_variants
from training.sweep.table import metric_of, plain, write_tables
from training.sweep.trials import STOPPED, Plan, Result, do_trial, finished, make_trial, prepare

STAGES = ("pretrain", "sft", "dpo", "mlm", "classify", "translate")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--field", "fields", multiple=True, metavar="TABLE.FIELD=…", help="Try value,value,… or low..high.")
@click.option(
    "--variant", "variants", multiple=True, metavar="SETTINGS",
    help='Try settings that belong together, "table.field=value table.field=value"; "" is the recipe as it is.',
)  # fmt: skip
@click.option("--minutes", default=30.0, show_default=True, help="For all trials together.")
@click.option("--trials", type=int, help="Try so many random points instead of every combination.")
@click.option("--seed", default=1, show_default=True, help="Of the random points.")
@click.option("--stage", type=click.Choice(STAGES), default="pretrain", show_default=True, help="What is trained.")
@click.option("--set", "common", multiple=True, metavar="TABLE.FIELD=VALUE", help="A setting of every trial.")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder [default: runs/<recipe's name>].")
@click.option("--data", type=click.Path(path_type=Path), default=".", help="Folder the sources' paths start in.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--keep", is_flag=True, help="Keep the trials' checkpoints.")
def tune(
    recipe_path: Path, fields: tuple[str, ...], variants: tuple[str, ...], minutes: float, trials: int | None,
    seed: int, stage: str, common: tuple[str, ...], run: Path | None, data: Path, device: str, keep: bool,
) -> None:  # fmt: skip
    """Search over fields of RECIPE: every combination of the fields' values, or random ones, a short run each.

    All trials have the same minutes, and each is a real run with its own schedule, in RUN/tune. What is done is not
    done again: the same command goes on where it stopped. With --set pretrain.steps=200 trials are equally long in
    steps instead of minutes.

    \b
    python -m training tune training/recipes/tiny.toml --data training/sample \\
      --field pretrain.lr=0.01,0.02,0.04 --field pretrain.schedule=wsd,cosine --minutes 12
    """
    try:
        with sigterm_as_interrupt():
            axes = [*map(read_field, fields), *([read_variants(variants)] if variants else [])]
            if not axes:
                raise RecipeError("There is nothing to try: give --field or --variant.")
            if not minutes > 0:
                raise RecipeError(f"--minutes must be above 0, not {minutes:g}.")
            points = grid(axes) if trials is None else draw(axes, trials, seed)
            run = run or Path("runs") / recipe_path.stem
            plan = Plan(stage, recipe_path, common, run, data, device, minutes / len(points), keep)
            search(plan, points, minutes)
    except (TrainingError, EngineError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or 'the run folder'}: {error.strerror}.", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on from here.", err=True)
        sys.exit(STOPPED)
    sys.exit(0)


def search(plan: Plan, points: list[Settings], minutes: float) -> None:
    """Do the trials that are not done yet, while there is time.

    Raises:
        TrainingError: a recipe that cannot be followed, or not a single trial got to its end.
    """
    base = load_recipe(plan.recipe_path, plan.common)
    made = [make_trial(plan, p, load_recipe(plan.recipe_path, (*plan.common, *p))) for p in points]
    (plan.run / "tune").mkdir(parents=True, exist_ok=True)
    prepare(plan, base)
    end = time.monotonic() + minutes * 60
    with only_one(plan.run):
        results: list[Result] = [done for trial in made if (done := finished(trial))]
        left = [trial for trial in made if not (trial.folder / "result.json").exists()]
        if results:
            click.echo(f"{len(results)} of {len(made)} trials were done before.")
        for number, trial in enumerate(left, len(results) + 1):
            if time.monotonic() > end:
                click.echo(
                    f"The {minutes:g} minutes are over; the same command does the {len(made) - number + 1} left."
                )
                break
            click.echo(f"{number} of {len(made)}: {' '.join(trial.settings) or 'the recipe as it is'}")
            results.append(do_trial(plan, trial, base))
            click.echo(f"    {summary(results[-1])}")
            path = write_tables(plan.run / "tune", results)
    path = write_tables(plan.run / "tune", results)
    click.echo(f"\n{plain(results)}\n\nThe table is {path}; each trial's words are in its log.txt.")
    if not any(result.state == "done" for result in results):
        raise TrainingError("No trial got to its end.")


def summary(result: Result) -> str:
    """A result in a line."""
    metric = metric_of([result])
    value = f"{result.metrics[metric]:.4f} {metric.replace('_', ' ')}, " if metric in result.metrics else ""
    if result.state == "failed":
        return f"failed: {result.note}"
    return f"{result.state}: {value}{result.steps} steps, {result.tokens:,} tokens, {result.seconds:.0f} s"


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM stops a search as Ctrl-C does: the trial under way ends with a checkpoint."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
