"""Job: what the command line gives to a stage, and what the stages do with it in the same way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from training.loop.distributed import world
from training.recipe import Recipe, RecipeError


@dataclass(frozen=True)
class Job:
    """Which recipe, where, and for how long."""

    recipe: Recipe
    run: Path
    data: Path  # the folder that the paths in the recipe start in
    device: torch.device
    max_minutes: float = math.inf

    def folder(self, stage: str) -> Path:
        return self.run / stage


def announce(job: Job, stage: str, parent: str, report: Mapping[str, Any]) -> None:
    """Say and write down what `stage` starts from and what became of its examples."""
    if not world().first:
        return
    shown = [f"{key.replace('_', ' ')} {value}" for key, value in report.items() if value or key == "held_out"]
    tqdm.write(f"{stage}: starts from {parent}" + (f"; {', '.join(shown)}" if shown else ""))
    folder = job.folder(stage)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "start.json").write_text(json.dumps({"parent": parent, **report}, indent=1) + "\n", encoding="utf-8")


def check_steps(stage: str, steps: int) -> None:
    """Refuse a stage that would not do a single step.

    Raises:
        RecipeError: it has no step.
    """
    if steps == 0:
        raise RecipeError(f"The {stage} stage has too little data for one step; add data or lower batch_tokens.")


def require(stage: str, files: str) -> None:
    """Refuse a stage that the recipe says nothing of.

    Raises:
        RecipeError: it has no table.
    """
    if not files:
        raise RecipeError(f"The recipe has no [{stage}] table with files, so there is nothing to do.")
