"""Trials: short real runs through the one training loop, each a process in a folder of its own.

A trial is `python -m training STAGE` with its settings. It shares the base run's documents and tokens (as links, where
the disk has them) and makes its own where its settings ask for others. Unless the recipe says `steps`, a few seconds of
it are measured first, and then its schedule is as long as its minutes are. Owns the running of one trial; which ones
there are is `space.py`, what came of all is `table.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from training.events import read_events
from training.recipe import Recipe, TrainRecipe
from training.sweep.space import Settings

STOPPED = 3  # what a stage ends with when it was stopped before its end
SHARED = (
    "documents", "shards", "data_report.json", "prepared.json", "tokenizer.json", "vocabulary.json",
    "tokens_report.json", "base.json",
)  # fmt: skip
SMALL = 1_000_000  # bytes: such files are copied, so that nothing a trial writes in place reaches the base run
PROBE = (10.0, 30.0)  # seconds that a trial's speed is measured over, at least and at most
VALIDATES = 2.5  # times as fast as it trains, a model goes over held-out tokens


@dataclass(frozen=True)
class Plan:
    """What all trials have in common."""

    stage: str
    recipe_path: Path
    common: Settings  # settings of all trials
    run: Path  # the base run, whose documents and tokens are shared; trials are below `run/tune`
    data: Path
    device: str
    minutes: float  # that each trial has
    keep: bool = False  # the trials' checkpoints

    def command(self, stage: str, run: Path, settings: Sequence[str], *more: str) -> list[str]:
        words = [sys.executable, "-m", "training", stage, str(self.recipe_path), "--run", str(run)]
        for setting in (*self.common, *settings):
            words += ["--set", setting]
        return [*words, "--data", str(self.data), "--device", self.device, *more]


@dataclass(frozen=True)
class Trial:
    settings: Settings
    recipe: Recipe
    folder: Path


@dataclass
class Result:
    """What came of a trial; `state` is done, failed or not finished."""

    settings: list[str]
    state: str
    metrics: dict[str, float] = field(default_factory=dict)  # held out, at the end
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0  # of training
    parameters: int = 0
    note: str = ""  # why it failed


def make_trial(plan: Plan, settings: Settings, recipe: Recipe) -> Trial:
    """The trial's place: named by its settings, and by a hash of all that its result depends on."""
    table: TrainRecipe = getattr(recipe, plan.stage)
    facts = {"recipe": recipe.to_dict(), "stage": plan.stage, "minutes": 0 if table.steps else round(plan.minutes, 3)}
    mark = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    words = "_".join(setting.partition(".")[2] for setting in settings) or "as-it-is"
    name = re.sub(r"[^\w.=+-]", "", words)[:60]
    return Trial(settings, recipe, plan.run / "tune" / f"{name}-{mark}")


def finished(trial: Trial) -> Result | None:
    """The result of a trial that was done before."""
    path = trial.folder / "result.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def do_trial(plan: Plan, trial: Trial, base: Recipe) -> Result:
    """Run `trial` to its end, or on from where it was stopped, and write its `result.json` when it is done.

    Raises:
        KeyboardInterrupt: the person wants to stop; the trial has a checkpoint.
    """
    began, settings = time.monotonic(), list(trial.settings)
    share(plan.run, trial.folder, plan.stage)
    if (trial.recipe.data, trial.recipe.tokenizer) != (base.data, base.tokenizer):
        for stage in ("prepare", "tokenizer"):
            if run_child(plan.command(stage, trial.folder, settings), trial.folder):
                return Result(settings, "failed", note=last_words(trial.folder))
        began = time.monotonic()
    steps = getattr(trial.recipe, plan.stage).steps or steps_that_fit(plan, trial, began)
    more = (f"{plan.stage}.steps={steps}", f"{plan.stage}.sample_every=1000000000") if steps else ()
    command = plan.command(plan.stage, trial.folder, [*settings, *more], "--max-minutes", str(2 * plan.minutes))
    status = run_child(command, trial.folder)
    result = read_result(trial.folder / plan.stage / "events.jsonl", settings)
    if status not in (0, STOPPED) or not steps:
        return Result(settings, "failed", note=last_words(trial.folder))
    result.state = "not finished" if status == STOPPED else "done"
    if result.state == "done":
        (trial.folder / "result.json").write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
        if not plan.keep:
            (trial.folder / plan.stage / "checkpoint.pt").unlink(missing_ok=True)
    return result


def share(run: Path, folder: Path, stage: str) -> None:
    """Put the base run's documents, tokens and earlier stages into a trial's `folder`, if it is new."""
    if (folder / "shared").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    found = [run / name for name in SHARED]
    found += [path for path in run.glob("*/checkpoint.pt") if path.parent.name != stage]
    for top in found:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                _link(path, folder / path.relative_to(run))
    (folder / "shared").touch()


def _link(path: Path, there: Path) -> None:
    there.parent.mkdir(parents=True, exist_ok=True)
    there.unlink(missing_ok=True)
    if path.stat().st_size > SMALL:
        try:
            os.link(path, there)
            return
        except OSError:  # another disk, or one without links
            pass
    shutil.copy2(path, there)  # with its time, which says what is newer than what


def steps_that_fit(plan: Plan, trial: Trial, began: float) -> int:
    """How many steps fit into the trial's minutes, which began at `began`; measured once and kept. 0: it fails."""
    path = trial.folder / "steps.json"
    if path.exists():
        return int(json.loads(path.read_text(encoding="utf-8"))["steps"])
    seconds = min(max(plan.minutes * 6, PROBE[0]), PROBE[1])
    rare = [f"{plan.stage}.{name}=1000000000" for name in ("valid_every", "sample_every")]
    limits = ("--max-minutes", str(seconds / 60))
    status = run_child(plan.command(plan.stage, trial.folder, [*trial.settings, *rare], *limits), trial.folder)
    folder, events = trial.folder / plan.stage, []
    if (folder / "events.jsonl").exists():
        events = [e for e in read_events(folder / "events.jsonl") if e["kind"] == "step"]
    if status not in (0, STOPPED) or not events:
        return 0
    shutil.rmtree(folder)
    measured, trained, batch = speed(events)
    starting = max(time.monotonic() - began - trained, 0.0)  # of Python, torch and the model
    table: TrainRecipe = getattr(trial.recipe, plan.stage)
    left = plan.minutes * 60 - (time.monotonic() - began) - starting - table.valid_tokens / VALIDATES / measured
    if table.ramp_from:
        batch = table.batch_tokens
    steps = max(round(left * measured / batch + _saved_by_ramp(table)), 1)
    path.write_text(json.dumps({"steps": steps, "tokens_per_second": round(measured)}) + "\n", encoding="utf-8")
    return steps


def _saved_by_ramp(table: TrainRecipe) -> float:
    """How many whole steps' tokens a ramp leaves out."""
    return table.ramp_steps * (1 - table.ramp_from / table.batch_tokens) / 2 if table.ramp_from else 0.0


def speed(events: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """(tokens a second, seconds in all, tokens a step) of a stage's step events.

    The first step is left out of the speed where there are others, since it takes longer.
    """
    seen = [
        event["tokens"] - before for event, before in zip(events, [0, *(e["tokens"] for e in events)], strict=False)
    ]
    rates = [event["tokens_per_second"] for event in events]
    seconds = sum(count / rate for count, rate in zip(seen, rates, strict=True))
    return statistics.median(rates[1:] or rates), seconds, statistics.mean(seen)


def read_result(events: Path, settings: list[str]) -> Result:
    """What a stage's events say of its last sitting."""
    result = Result(settings, "done")
    for event in read_events(events):
        if event["kind"] == "start":
            result.parameters = event["parameters"]
        elif event["kind"] == "valid":
            result.metrics = {k: v for k, v in event.items() if k not in ("kind", "time", "step", "tokens")}
        elif event["kind"] == "step":
            result.steps, result.tokens = event["step"], event["tokens"]
        elif event["kind"] == "end":
            result.seconds = event["seconds"]
    return result


def run_child(command: list[str], folder: Path) -> int:
    """The exit status of `command`, whose words go to `folder/log.txt`; stopped with a checkpoint when we are."""
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise


def last_words(folder: Path) -> str:
    """The last line of a trial's log, which says what was wrong."""
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    errors = [line for line in said if line.startswith("Error: ")]
    return (errors or said or ["it said nothing"])[-1].removeprefix("Error: ")


def prepare(plan: Plan, recipe: Recipe) -> None:
    """The base run's documents and tokens, unless they are there; their words go to the screen, and so does the one
    sentence where they cannot be made: then it ends as they did."""
    for stage in ("prepare", "tokenizer") if recipe.data.sources else ():
        status = subprocess.run(plan.command(stage, plan.run, ()), stdin=subprocess.DEVNULL, check=False).returncode
        if status:
            sys.exit(status)
