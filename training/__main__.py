"""`python -m training`: prepare | tokenizer | pretrain | sft | all, each on a recipe and a run folder."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from training.recipe import Recipe, RecipeError, load_recipe

STAGES = ("prepare", "tokenizer", "pretrain", "sft")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
@click.argument("recipe_path", metavar="RECIPE", type=click.Path(path_type=Path))
@click.option("--run", type=click.Path(path_type=Path), help="Run folder [default: runs/<recipe's name>].")
@click.option(
    "--data", "root", type=click.Path(path_type=Path), default=".", help="Folder the sources' paths start in."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or mps.")
@click.option("--max-minutes", type=float, default=float("inf"), help="Stop with a checkpoint after so long.")
@click.option(
    "--fresh", is_flag=True, help="Do the stage again from its start; without it, go on where it stopped."
)
def main(
    stage: str, recipe_path: Path, run: Path | None, root: Path, device: str, max_minutes: float, fresh: bool
) -> None:
    """Make a model from raw text. A stage that was stopped goes on from its last checkpoint."""
    try:
        recipe = load_recipe(recipe_path)
        run = run or Path("runs") / recipe_path.stem
        run.mkdir(parents=True, exist_ok=True)
        (run / "recipe.json").write_text(json.dumps(recipe.to_dict(), indent=1) + "\n", encoding="utf-8")
        for name in STAGES if stage == "all" else (stage,):
            if not run_stage(name, recipe, run, root, device, max_minutes, fresh):
                click.echo(f"{name} stopped before its end. The same command goes on from here.", err=True)
                sys.exit(3)
    except RecipeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


def run_stage(
    name: str, recipe: Recipe, run: Path, root: Path, device: str, minutes: float, fresh: bool
) -> bool:
    """Do one stage; True when it is done, False when it was stopped."""
    import torch

    from training import prepare, shards, stages
    from training import tokenizer as tokenizers

    if fresh:
        shutil.rmtree(run / name, ignore_errors=True)
    if name == "prepare":
        if fresh or not (run / "data_report.json").exists():
            prepare.prepare(recipe.data, root, run)
        return True
    if name == "tokenizer":
        if fresh or not (run / "tokens_report.json").exists():
            tokenizers.train_tokenizer(recipe, run)
            report = shards.write_shards(recipe, run, stages.Tokenizer.load(run))
            click.echo(
                "\n".join(f"{row:34s} {values['tokens']:>10,} tokens" for row, values in report.items())
            )
        return True
    stage = {"pretrain": stages.pretrain, "sft": stages.sft}[name]
    return stage(recipe, run, torch.device(device), minutes)


if __name__ == "__main__":
    main()
