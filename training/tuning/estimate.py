"""An estimate of time, memory and disk: a few real steps of the very run, in a folder that is thrown away."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from training.data.shards import open_shard
from training.events import read_events
from training.loop.distributed import world
from training.recipe import Recipe
from training.recipe_wish import Wish
from training.stages.job import Job
from training.tuning.recipes import epochs_of

SECONDS = 6.0  # of steps
MEASURING = 45.0  # seconds that asking old and new model takes, about, beside the training
NEEDED = ("shards", "documents", "base.json", "tokenizer.json", "tokens_report.json")  # what a stage reads of its run


@dataclass(frozen=True)
class Estimate:
    """What a run will cost, from the steps that were done."""

    steps: int  # of the whole run
    seconds_per_step: float
    tokens_per_second: float
    memory_mb: int  # most that this process held
    disk_mb: float  # checkpoints, two at a time, and the model
    parameters: int
    trained: int  # parameters
    threads: int

    @property
    def seconds(self) -> float:
        return self.steps * self.seconds_per_step + MEASURING

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 1), "warnings": self.warnings()}

    def warnings(self) -> list[str]:
        """Honest limits of this machine, with numbers."""
        found = []
        free = shutil.disk_usage(tempfile.gettempdir()).free / 1e6
        if self.disk_mb > 0.8 * free:
            found.append(f"It needs {self.disk_mb:,.0f} MB on disk, and {free:,.0f} MB are free.")
        memory = total_memory_mb()
        if memory and self.memory_mb > 0.8 * memory:
            found.append(f"It needs {self.memory_mb:,} MB of memory, and this machine has {memory:,} MB.")
        if self.seconds > 6 * 3600:
            found.append(f"It takes {self.seconds / 3600:.0f} hours here. A smaller base or fewer epochs take less.")
        return found


def total_memory_mb() -> int | None:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    return None


def estimate(wish: Wish, recipe: Recipe, run: Path, threads: int, seconds: float = SECONDS) -> Estimate:
    """Do real steps for `seconds` and throw them away. `run` has been laid out and cut into tokens.

    Raises:
        TrainingError, EngineError: it cannot be trained at all, and why.
    """
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=run) as folder:
        trial = Path(folder)
        for name in NEEDED:
            if (run / name).exists():
                (trial / name).symlink_to((run / name).resolve())
        quiet = replace(getattr(recipe, wish.stage), sample_every=10**9, valid_every=10**9, checkpoint_minutes=10**6)
        job = Job(replace(recipe, **{wish.stage: quiet}), trial, run / "data", world().device("cpu"), seconds / 60)
        train = {"sft": "language.sft", "pretrain": "language.pretrain"}.get(wish.stage, f"{wish.stage}.{wish.stage}")
        module, name = train.split(".")
        getattr(import_module(f"training.stages.{module}"), name)(job)
        events = list(read_events(trial / wish.stage / "events.jsonl"))
    steps = [e for e in events if e["kind"] == "step"]
    times = [later["time"] - earlier["time"] for earlier, later in pairwise(steps)]
    if not times:  # a single slow step
        times = [getattr(recipe, wish.stage).batch_tokens / steps[0]["tokens_per_second"]]
    start = next(e for e in events if e["kind"] == "start")
    saved = [e["mb"] for e in events if e["kind"] == "checkpoint"]
    return Estimate(
        steps=start["steps"] + _steps_afterwards(recipe, run),
        seconds_per_step=round(statistics.median(times), 4),
        tokens_per_second=round(statistics.median(e["tokens_per_second"] for e in steps), 1),
        memory_mb=max(e.get("memory_mb", 0) for e in steps),
        disk_mb=round(2 * max(saved) + 4 * start["parameters"] / 1e6, 1),
        parameters=start["parameters"],
        trained=start["trained"],
        threads=threads,
    )


def _steps_afterwards(recipe: Recipe, run: Path) -> int:
    """Of the stage `sft` behind a pretraining, about: its sources' tokens are those of the pretraining."""
    later = [source for source in recipe.data.sources if source.sft_epochs > 0]
    tokens = sum(source.sft_epochs * len(open_shard(run, "train", source.name).tokens) for source in later)
    return round(tokens / recipe.sft.batch_tokens)


def fit_minutes(wish: Wish, recipe: Recipe, run: Path, threads: int = 0) -> Wish:
    """`wish` with as many epochs as fit into its minutes, at least a third of one."""
    found = estimate(wish, recipe, run, threads)
    share = wish.minutes * 60 / max(found.steps * found.seconds_per_step, 1e-6)
    return replace(wish, epochs=round(max(epochs_of(wish) * share, 0.34), 2))
