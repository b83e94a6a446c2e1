"""What a run says while it goes on: events for whoever follows the log, a bar and sentences for whoever looks on.

Every event has `kind`, `time` and `step`. The kinds: `start`, `step`, `valid`, `sample`, `checkpoint`, `skipped`,
`no_room`, `recovery` (`what`: rolled back | halved the micro-batch | went on without a checkpoint),
`stopped` (`reason`), `end`.
"""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from tqdm import tqdm

from training.events import EventLog
from training.loop.checkpoint import TrainState
from training.loop.precision import autocast
from training.loop.stage import Stage
from training.loop.step import memory_mb


class Report:
    """Reports on one sitting. Without a log (not the first of several processes) it measures and keeps silent."""

    def __init__(self, stage: Stage, state: TrainState, log: EventLog | None) -> None:
        self.stage, self.state, self.log = stage, state, log
        self.lately: deque[float] = deque(maxlen=20)  # seconds of the last steps
        self.bar: Any = None

    def __enter__(self) -> Report:
        self.bar = tqdm(
            total=self.stage.batches.steps,
            initial=self.state.step,
            desc=self.stage.name,
            unit="step",
            mininterval=1.0,
            disable=self.log is None,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()

    def write(self, kind: str, **fields: Any) -> None:
        if self.log:
            self.log.write(kind, **fields)

    def say(self, text: str) -> None:
        if self.log:
            tqdm.write(text)

    def begin(self, **facts: Any) -> None:
        steps = self.stage.batches.steps
        self.write("start", stage=self.stage.name, step=self.state.step, steps=steps, tokens=self.state.tokens, **facts)

    def step(self, numbers: dict[str, float], seconds: float) -> None:
        """After a step: its `numbers`, and how long the rest will take."""
        self.lately.append(seconds)
        left = self.stage.batches.steps - self.state.step
        self.write(
            "step",
            step=self.state.step,
            steps=self.stage.batches.steps,
            tokens=self.state.tokens,
            **numbers,
            eta_seconds=round(left * sum(self.lately) / len(self.lately), 1),
            memory_mb=memory_mb(self.stage.device),
        )
        self.bar.n = self.state.step
        self.bar.set_postfix(loss=f"{numbers['loss']:.3f}", tok_s=f"{numbers['tokens_per_second']:.0f}")

    def look(self) -> None:
        """Held-out numbers and a sample, now and then and at the end, of the averaged weights where there are any."""
        stage, state = self.stage, self.state
        last = state.step == stage.batches.steps
        validate = stage.validate and (last or state.step % stage.recipe.valid_every == 0)
        sample = stage.sample and (last or state.step % stage.recipe.sample_every == 0)
        if not validate and not sample:
            return
        stage.model.eval()
        average = state.average.inside(stage.model) if state.average else nullcontext()
        with torch.no_grad(), average, autocast(stage.device, stage.recipe.precision):
            if validate and stage.validate:
                numbers = stage.validate(stage.model)
                self.write("valid", step=state.step, tokens=state.tokens, **numbers)
                self.say(f"step {state.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in numbers.items()) + " held out")
            if sample and stage.sample:
                text = stage.sample(stage.model)
                self.write("sample", step=state.step, text=text)
                self.say(f"step {state.step}: {text!r}")
        stage.model.train()

    def checkpoint(self, path: Path, seconds: float) -> None:
        size = path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.iterdir())
        mb = round(size / 1e6, 1)
        self.write("checkpoint", step=self.state.step, file=path.name, mb=mb, seconds=round(seconds, 2))

    def recovered(self, what: str, step: int, text: str) -> None:
        """Something went wrong at `step` and the run goes on: said aloud."""
        self.write("recovery", what=what, step=step, to=self.state.step, text=text)
        self.say(f"step {step}: {what} ({text})")
        self.bar.n = self.state.step

    def stopped(self, reason: str) -> None:
        self.write("stopped", step=self.state.step, steps=self.stage.batches.steps, reason=reason)
        self.say(f"step {self.state.step}: stopped ({reason}), with a checkpoint")

    def end(self) -> None:
        state = self.state
        self.write("end", step=state.step, tokens=state.tokens, seconds=round(state.seconds, 1))
