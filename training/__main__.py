"""`python -m training STAGE RECIPE`: a stage of a recipe, or `all` from raw text to a model; in a run folder.

`python -m training data …` is `data/commands.py`; `export --model …` is `export/commands.py`; `evaluate MODEL` and
`plot RUN` are `evaluation/commands.py`; `tune` is `sweep/commands.py`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import click

from engine.errors import EngineError
from training.errors import TrainingError, missing_extra
from training.loop.lock import only_one
from training.loop.memory import large_pages
from training.recipe import Recipe, load_recipe

ALL = ("prepare", "tokenizer", "pretrain", "sft", "evaluate", "export")
# What the one loop trains: the stage's name, and the function that does it, by module below `training.stages`.
TRAINED = {
    "pretrain": "language.pretrain",
    "sft": "language.sft",
    "dpo": "dpo.dpo",
    "mlm": "mlm.mlm",
    "classify": "classify.classify",
    "translate": "translate.translate",
}
# Commands that are no stages: module and function.
COMMANDS = {
    "data": "training.data.commands:data",
    "tune": "training.sweep.commands:tune",
    "teach": "training.tuning.commands:teach",
    "spam": "training.spam.commands:spam",
    "spam-table": "training.spam.table:main",
}
OF_TABLES = ("dpo", "classify", "translate")  # whose examples are no documents
STAGES = tuple(dict.fromkeys((*ALL, *TRAINED)))
FIRST = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started; or the only one


@dataclass(frozen=True)
class Job:
    """What the command line asked for."""

    recipe: Recipe
    recipe_path: Path
    run: Path
    data: Path
    out: Path
    device: str
    end: float  # time.monotonic() when the sitting is over
    fresh: bool
    processes: int
    settings: tuple[str, ...] = ()  # fields of the recipe that were set over what its file says

    def minutes_left(self) -> float:
        return max(self.end - time.monotonic(), 0.0) / 60


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stage", metavar="STAGE", type=click.Choice([*STAGES, "all"]))
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option(
    "--run",
    "--run-folder",
    "run",
    type=click.Path(path_type=Path),
    help="Run folder [default: runs/<recipe's name>]; torchrun takes `--run` for its own, so the longer name is there.",
)
@click.option("--data", type=click.Path(path_type=Path), default=".", help="Folder the sources' paths start in.")
@click.option("--out", type=click.Path(path_type=Path), help="Where export puts the model [default: <run>/model].")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--max-minutes", type=float, default=float("inf"), help="Stop with a checkpoint after so long.")
@click.option("--fresh", is_flag=True, help="Do the stage again from its start instead of going on where it stopped.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="TABLE.FIELD=VALUE",
    help="Set a field of the recipe, such as pretrain.lr=0.01; may be given several times.",
)
@click.option("--processes", type=int, default=0, help="That prepare data at once [default: one a core].")
def main(
    stage: str,
    recipe_path: Path,
    run: Path | None,
    data: Path,
    out: Path | None,
    device: str,
    max_minutes: float,
    fresh: bool,
    settings: tuple[str, ...],
    processes: int,
) -> None:
    """Make a model from raw text. A stage that was stopped goes on from its last checkpoint.

    \b
    Stages, of which `all` does the first line:
      prepare, tokenizer, pretrain, sft, evaluate, export
      dpo, mlm, classify, translate

    \b
    Other commands, each with a --help of its own:
      data fetch, data prepare   bring texts here; prepare them with datatrove
      tune RECIPE                try out fields of a recipe
      evaluate MODEL, plot RUN   measure any model; draw a run's curves
      export --model MODEL       for transformers, llama.cpp and Ollama
      teach, spam, spam-table    what the app's menu does; the spam scorer
    """
    try:
        recipe = load_recipe(recipe_path, settings)
        run = run or Path("runs") / recipe_path.stem
        run.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + max_minutes * 60
        job = Job(recipe, recipe_path, run, data, out or run / "model", device, end, fresh, processes, settings)
        with only_one(run) if FIRST else nullcontext():
            if FIRST:
                (run / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=1) + "\n", encoding="utf-8")
            stages = ALL if stage == "all" else (stage,)
            stopped = next((name for name in stages if not run_stage(name, job)), "")
        say_goodbye_at_the_end()
        if stopped:
            if FIRST:
                click.echo(f"{stopped} stopped before its end. The same command goes on from here.", err=True)
            sys.exit(3)
    except (TrainingError, EngineError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if not (sentence := missing_extra(error)):
            raise
        click.echo(f"Error: {sentence}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"Error: {error.filename or 'the run folder'}: {error.strerror}.", err=True)
        sys.exit(2)


def say_goodbye_at_the_end() -> None:
    """Leave the other processes before Python ends: otherwise gloo's threads abort now and then, after all is done.

    Not where something failed: the others may be waiting for this one, and it would wait for them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from training.loop.distributed import leave

        atexit.register(leave)


def run_stage(name: str, job: Job) -> bool:
    """Do one stage: True when it is done, False when it was stopped. Many processes train; the first does the rest."""
    if name in ("prepare", "tokenizer") and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return run_data_stage(name, job)
    from training.loop.distributed import world  # torch: late, so that --help and a wrong recipe answer at once

    done = True
    if name in TRAINED:
        done = train_stage(name, job)
    elif FIRST:
        done = run_data_stage(name, job) if name in ("prepare", "tokenizer") else deliver(name, job)
    return world().agree(done)


def train_stage(name: str, job: Job) -> bool:
    """A stage that the one loop trains."""
    from training.data.made import check_tokens
    from training.data.mix import mixed
    from training.loop.distributed import world
    from training.stages.job import Job as StageJob

    place = world()
    if name not in OF_TABLES:
        check_tokens(job.recipe, job.run)
    if job.fresh and FIRST:
        shutil.rmtree(job.run / name, ignore_errors=True)
    place.wait()
    recipe = job.recipe if name in OF_TABLES else mixed(job.recipe, job.run)
    module, function = TRAINED[name].split(".")
    stage = getattr(importlib.import_module(f"training.stages.{module}"), function)
    done: bool = stage(StageJob(recipe, job.run, job.data, place.device(job.device), job.minutes_left()))
    return done


def deliver(name: str, job: Job) -> bool:
    """`evaluate` or `export`."""
    from engine.run.device import choose
    from training.data.mix import mixed
    from training.evaluation import evaluate
    from training.export import export

    recipe = mixed(job.recipe, job.run)
    if name == "evaluate":
        evaluate.evaluate(recipe, job.run, choose(job.device).device, job.data)
    else:
        export.export(recipe, job.run, job.out, job.recipe_path, job.settings)
    return True


def run_data_stage(name: str, job: Job) -> bool:
    """`prepare` or `tokenizer`; both know by themselves what is done already."""
    from training.data import made, prepare, report, shards, vocabulary, vocabulary_report
    from training.data import tokenizer as tokenizers
    from training.data.mix import mix_table

    recipe, run = job.recipe, job.run
    if name == "prepare":
        if job.fresh:
            (run / "data_report.json").unlink(missing_ok=True)
        prepare.prepare(recipe.data, job.data, run, job.processes)
    else:
        made.check_documents(recipe, run)
        if recipe.base.model:
            vocabulary.take_base(run, recipe.base.model)
        elif job.fresh or tokenizers.is_stale(recipe, run):
            (run / vocabulary.BASE).unlink(missing_ok=True)
            tokenizers.train_tokenizer(recipe, run)
            vocabulary_report.vocabulary_report(recipe, job.data, run)
        shards.write_shards(recipe, run, job.processes)
        vocabulary.mark_shards(run, vocabulary.open_vocabulary(run))
        for part in mix_table(recipe, run):
            click.echo(
                f"{part.name:28s} {part.tokens:>12,} tokens {part.share:7.1%} of training, {part.epochs:.2f} epochs"
            )
    click.echo(f"The report is {report.write_report(recipe, run)}.")
    return True


if __name__ == "__main__":
    large_pages()
    if word := next((word for word in sys.argv[1:2] if word in COMMANDS), ""):
        module, function = COMMANDS[word].split(":")
        getattr(importlib.import_module(module), function)(sys.argv[2:], prog_name=f"python -m training {word}")
    if sys.argv[1:2] == ["export"] and any(word.split("=")[0] in ("--model", "--to") for word in sys.argv[2:]):
        from training.export.commands import export_model

        export_model(sys.argv[2:], prog_name="python -m training export")
    if sys.argv[1:2] in (["evaluate"], ["plot"]):
        from training.evaluation.commands import command_for

        if command := command_for(sys.argv[1:]):
            command(sys.argv[2:], prog_name=f"python -m training {sys.argv[1]}")
    main()
