"""The spam scorer that ships, made anew on any examples: files, network, stack. The table does so for each split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import training
from engine.spam.loading import load_judge
from training.errors import TrainingError
from training.spam.prepare import write_files
from training.spam.splits import Example

RECIPE = Path(training.__path__[0]) / "recipes" / "homespun-spam.toml"


class Stacked:
    """Network and hashed scorer, trained on `examples` as the card says. A run in `folder` goes on where it stopped."""

    def __init__(self, examples: Sequence[Example], folder: Path, recipe: Path = RECIPE) -> None:
        """Raises TrainingError when the examples do not do, or training is stopped."""
        if not (folder / "scorer" / "config.json").is_file():
            self._make(examples, folder, recipe)
        self.scorer = load_judge(folder / "scorer")

    @staticmethod
    def _make(examples: Sequence[Example], folder: Path, recipe: Path) -> None:
        from torch import device

        from training.recipe import load_recipe
        from training.spam.stacking import stack
        from training.stages.classify import classify
        from training.stages.job import Job

        data, run = folder / "data", folder / "run"
        if not (data / "report.json").is_file():
            write_files(examples, data, split=folder.name, accents=1, disguised=0.5, seed=1)
        run.mkdir(parents=True, exist_ok=True)
        if not classify(Job(load_recipe(recipe), run, data, device("cpu"))):
            raise TrainingError(f"Training was stopped. The same command goes on from {run}.")
        stack(data, run / "classify" / "model", folder / "scorer")

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray:
        return self.scorer.probabilities([e.text for e in examples])
