"""FineTuning: a classifier is trained on a label set's examples, in a process of its own, behind the screens.

Owns the recipe, how far it is, and putting the model into the set's folder. The training is the lab's stage `classify`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.verdicts.child import complaint_of, run_child
from assistant.verdicts.label_sets import ENOUGH, LabelSet, held_out
from engine.catalog import read_json
from engine.errors import ModelFolderError

COMMAND = (sys.executable, "-P", "-m", "training", "classify")
LOOK_SECONDS = 0.5
SIGHTINGS = 2500  # how many texts are seen in all, epochs together
TOKENS = 256  # of a text that are read
RECIPE = """\
# Made by homespun for the label set {name}.
[base]
model = {base}

[classify]
files = "examples.jsonl"
valid_percent = 20.0
epochs = {epochs}
context = {context}
batch_tokens = {batch}
micro_tokens = {batch}
adam_lr = 0.0005
warmup_steps = 5
blocks = {blocks}
pooling = "mean"
causal = false
probe = true
valid_every = 20
sample_every = 100000
balance = "weights"

[classify.lora]
rank = 8
alpha = 16

[export]
name = {name}
"""


class FineTuning:
    """One at a time; `tell` hears a sentence when it has ended."""

    def __init__(self, tell: Callable[[str], None], command: Sequence[str] = COMMAND) -> None:
        self._tell, self._command = tell, list(command)
        self._task: asyncio.Task[str] | None = None
        self._name = ""  # of the set
        self.line = ""  # how far it is; "" when nothing goes on

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def is_training(self, name: str) -> bool:
        """Whether it is the set called `name` that is being trained on."""
        return self.busy and self._name == name

    def start(self, chosen: LabelSet, base: Path, context: int | None) -> asyncio.Task[str]:
        """Begin to train on `chosen`, from the language model in folder `base`, which reads `context` tokens.

        The task gives the sentence that `tell` hears.

        Raises:
            UsageError: one is going on, or the set has too few examples.
        """
        if self.busy:
            raise UsageError("A classifier is being trained already.")
        if not chosen.can_learn:
            raise UsageError(
                f"{chosen.name} has {len(chosen.examples)} examples; fine-tuning needs {ENOUGH}. Until then the "
                "language model tells the labels apart by itself."
            )
        self._name, self.line = chosen.name, f"training {chosen.name}: starting …"
        self._task = asyncio.get_running_loop().create_task(self._run(chosen, base, min(TOKENS, context or TOKENS)))
        return self._task

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """End it, and its process."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, chosen: LabelSet, base: Path, context: int) -> str:
        run = chosen.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        watching = asyncio.create_task(self._watch(chosen.name, run / "classify" / "events.jsonl"))
        try:
            run.mkdir()
            (run / "recipe.toml").write_text(recipe(chosen, base, context), encoding="utf-8")
            command = [*self._command, str(run / "recipe.toml"), "--data", str(chosen.folder), "--run", str(run)]
            status, complaint = await run_child(command)
            said = self._finish(chosen, run, status, complaint)
        except OSError as error:
            said = f"{chosen.name} could not be trained: {error.strerror or error}."
        finally:
            watching.cancel()
            self.line = ""
            shutil.rmtree(run, ignore_errors=True)
        self._tell(said)
        return said

    def _finish(self, chosen: LabelSet, run: Path, status: int, complaint: str) -> str:
        made = run / "classify" / "model"
        if status != 0 or not made.is_dir():
            return complaint_of(complaint, f"Training {chosen.name} ended unexpectedly (status {status}).")
        shutil.rmtree(chosen.folder / "model", ignore_errors=True)
        made.rename(chosen.folder / "model")
        return f"{chosen.name} is fine-tuned on {len(chosen.examples)} examples{measured(chosen.folder / 'model')}."

    async def _watch(self, name: str, events: Path) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.line = progress(name, events) or self.line


def recipe(chosen: LabelSet, base: Path, context: int) -> str:
    """The recipe of a run: small sets are seen more often."""
    epochs = round(min(max(SIGHTINGS / len(chosen.examples), 3), 20), 1)
    longest = max(len(example.text) for example in chosen.examples)
    context = max(8, min(context, longest // 2 + 8))  # a token is two characters and more
    values = {"epochs": epochs, "context": context, "batch": max(512, 8 * context)}  # few rows a step: few examples
    values["blocks"] = (blocks_of(base) + 1) // 2  # the upper half predicts words; it tells kinds of texts less well
    return RECIPE.format(base=json.dumps(str(base)), name=json.dumps(chosen.name), **values)


def blocks_of(base: Path) -> int:
    """How many blocks the model in folder `base` has; 0 where that is not said."""
    try:
        data = read_json(base / "config.json")
        return int(data.get("num_hidden_layers") or data.get("n_layer") or 0)
    except (ModelFolderError, TypeError, ValueError):
        return 0


def progress(name: str, events: Path) -> str:
    """How far the run is, out of its last events; "" where there are none yet."""
    try:
        lines = events.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    steps = [event for event in map(_event, lines[-20:]) if event.get("kind") == "step"]
    if not steps:
        return ""
    left = round(float(steps[-1].get("eta_seconds") or 0))
    return f"training {name}: step {steps[-1].get('step')} of {steps[-1].get('steps')}, about {left} s to go"


def _event(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def measured(model: Path) -> str:
    """ "; of 40 others it labels 95 % right" by the model's own record; "" where that says nothing."""
    count, right = held_out(model)
    return f"; of {count} others it labels {100 * right:.0f} % right" if right is not None else ""
