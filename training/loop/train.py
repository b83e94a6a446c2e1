"""The one training loop, for every stage: step, report, validate, sample, checkpoint, recover, stop when told to.

**What a Stage gives** (`stage.py` has the fields). `model`: any module; parameters without `requires_grad` stay as
they are. `batches`: `steps`, and `step(n)`, the micro-batches of step n, a pure function of n, so that a resume is
exact; the loop shares rows out to processes unless `shared` says that they are this one's share. A
micro-batch is a dataclass whose tensors have rows first, for the loop moves it to the device and cuts it into fewer
rows when memory runs out; its `tokens` property, if it has one, is what is counted for tokens/s (else: the elements
of its first tensor). `loss(model, micro_batch)` returns a `LossSum`: the summed loss, the count to divide by, and
sums of further numbers to log. The loop adds those up over micro-batches and processes, divides gradients by the
step's whole count, and calls `loss` inside autocast, so a loss has to make its own sums in fp32 (`logits.float()`).
Nothing random may outlive a step: the loop seeds torch anew from (recipe.seed, step, rank) before each.
`validate(model)` → numbers and `sample(model)` → a text are called without gradients, in `eval` mode, with averaged
weights where the recipe keeps them (`ema`). The loop owns the optimizers, the schedule, the checkpoint and
`events.jsonl` in `folder`; a stage begins by putting weights into `model`, and later stages read them with
`checkpoint.load_weights`.
"""

from __future__ import annotations

import gc
import os
import shutil
import time
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from engine.run.device import fast_bf16
from training.errors import TrainingError
from training.events import EventLog
from training.loop import distributed, recovery
from training.loop.average import Average
from training.loop.checkpoint import DiskFull, TrainState, identity_of, load_checkpoint, save_checkpoint
from training.loop.losses import bits_per_byte
from training.loop.optimizer import make_optimizers, repeated
from training.loop.report import Report
from training.loop.shared_checkpoint import load_shared, save_shared
from training.loop.stage import First, LossSum, Stage, rows
from training.loop.step import train_step
from training.loop.stopping import Stop, stop_signals

__all__ = ["LossSum", "Stage", "TrainState", "bits_per_byte", "train"]

COMPILE_PAYS_FROM = 2_000_000  # tokens: below, compiling takes longer than it saves
PATIENCE = 5  # times to go back without getting any further before giving up


def train(stage: Stage) -> bool:
    """Run `stage` from its last checkpoint, if any, to its end; returns False when it was stopped before that.

    Of several processes only the first gets True, which is the one that writes what comes of it.

    Raises:
        TrainingError: the checkpoint is of another recipe, the disk is full, memory does not suffice for one row, or
            the loss keeps diverging.
    """
    with stop_signals(stage.max_minutes) as stop:
        return Run(stage).go(stop)


class Run:
    """One sitting of a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.place = stage, distributed.world()
        if stage.recipe.steps:
            stage.batches = First(stage.batches, stage.recipe.steps)
        layers = repeated(stage.model) if stage.layers is None else list(stage.layers)
        if stage.recipe.recompute:
            recompute(layers)
        identity = identity_of(stage)
        if self.place.size > 1 and stage.recipe.shard == "full":
            if not stage.shared:
                raise TrainingError(
                    f'[{stage.name}] shard = "full" is for pretrain and sft; take it out of the recipe.'
                )
            distributed.share_out(stage.model, layers)
        average = Average(stage.model, stage.recipe.ema) if stage.recipe.ema else None
        optimizers = make_optimizers(stage.model, stage.recipe, layers)
        self.state = TrainState(stage.model, optimizers, average=average, identity=identity)
        self.found = load_shared(stage.folder, self.state) or load_checkpoint(stage.folder, self.state)
        if self.place.size > 1:
            self.state.parts = 1  # which processes could not agree on
        self.compiled = wants_compiler(stage, self.place)
        self.forward = forward_of(stage, self.place, self.compiled)
        self.retries = 0
        self.saved = time.monotonic()
        self.report = Report(stage, self.state, EventLog(stage.folder / "events.jsonl") if self.place.first else None)

    def go(self, stop: Stop) -> bool:
        """Train until the end (True) or until `stop` says so (False)."""
        stage, state = self.stage, self.state
        self.report.begin(**self.facts())
        if not self.found:
            self.save(must=True)  # something to go back to, and a full disk is found out now
        stage.model.train()
        with self.report:
            while state.step < stage.batches.steps:
                self.advance()
                if (reason := stop.reason(self.place)) and state.step < stage.batches.steps:
                    self.save(must=True, last=True)
                    self.report.stopped(reason)
                    return False
                if time.monotonic() - self.saved > stage.recipe.checkpoint_minutes * 60:
                    self.save()
        self.save(must=True, last=True)
        self.report.end()
        return self.place.first

    def advance(self) -> None:
        """One step done, skipped, or undone."""
        state = self.state
        if state.step in state.skip:
            self.report.write("skipped", step=state.step)
            state.step += 1
        else:
            try:
                before = state.seconds
                numbers = train_step(self.stage, state, self.forward, self.place)
                self.report.step(numbers, state.seconds - before)
                if state.step - 1 > max(state.skip, default=-1):
                    self.retries = 0
            except recovery.Diverged as error:
                self.go_back(str(error))
                return
            except (RuntimeError, MemoryError) as error:
                if not recovery.out_of_memory(error):
                    raise
                self.halve(error)
                return
        self.report.look()
        if self.place.size > 1:
            distributed.put_away(self.stage.model)

    def go_back(self, reason: str) -> None:
        """To the last checkpoint, from where the bad step will be left out."""
        state, bad = self.state, self.state.step
        self.forget_gradients()
        self.retries += 1
        if self.retries > PATIENCE:
            raise TrainingError(
                f"{self.stage.name} does not get past step {bad}: {reason}, after leaving out {PATIENCE} "
                "steps. Lower lr and adam_lr in the recipe, or look at the data there, and go on."
            )
        if not (load_shared(self.stage.folder, state) or load_checkpoint(self.stage.folder, state)):
            raise TrainingError(f"{self.stage.folder} has lost its checkpoint. Begin again with --fresh.")
        state.skip = [*state.skip, bad]
        self.report.recovered("rolled back", bad, f"{reason}; back to step {state.step}, and step {bad} is left out")
        self.save()

    def halve(self, error: BaseException) -> None:
        """The same step again with half the micro-batch and twice the accumulation."""
        self.forget_gradients()
        if self.place.size > 1:
            raise TrainingError(
                f"Memory ran out in process {self.place.rank} ({error}). Halve micro_tokens in the recipe and go on."
            ) from error
        if self.state.parts >= max(rows(batch) for batch in self.stage.batches.step(self.state.step)):
            raise TrainingError(
                f"Memory ran out with a single row at a time ({error}). Set recompute = true in the recipe, "
                "or make context or the model smaller."
            ) from error
        self.state.parts *= 2
        self.report.recovered(
            "halved the micro-batch", self.state.step, f"memory ran out; each is cut into {self.state.parts} parts now"
        )

    def forget_gradients(self) -> None:
        for optimizer in self.state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def save(self, *, must: bool = False, last: bool = False) -> None:
        """A checkpoint. When the disk is full, go on without one and say so, unless one is a `must`."""
        began = time.monotonic()
        try:
            if self.place.size > 1:
                path = save_shared(self.stage.folder, self.state, self.place, last=last)
            else:
                path = save_checkpoint(self.stage.folder, self.state)
        except DiskFull as error:
            if must:
                self.report.write("no_room", step=self.state.step, text=str(error))
                raise
            self.report.recovered("went on without a checkpoint", self.state.step, str(error))
        else:
            self.report.checkpoint(path, time.monotonic() - began)
        self.saved = time.monotonic()

    def facts(self) -> dict[str, Any]:
        """What a reader of the log wants to know of how the run is done."""
        recipe, parameters = self.stage.recipe, list(self.stage.model.parameters())
        bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and fast_bf16(self.stage.device.type))
        return {
            "device": str(self.stage.device),
            "processes": self.place.size,
            "precision": "bf16" if bf16 else "fp32",
            "compiled": self.compiled,
            "optimizers": [type(optimizer).__name__ for optimizer in self.state.optimizers],
            "parameters": sum(p.numel() for p in parameters),
            "trained": sum(p.numel() for p in parameters if p.requires_grad),
            "pid": os.getpid(),
            "torch": torch.__version__,
        }


def wants_compiler(stage: Stage, place: distributed.World) -> bool:
    """Whether the loss is compiled: as the recipe says, or where a compiler is there and it pays."""
    if stage.recipe.compile != "auto":
        return stage.recipe.compile == "yes"
    compiler = shutil.which("g++") or shutil.which("clang++")
    worth = stage.same_shape and stage.batches.steps * stage.recipe.batch_tokens >= COMPILE_PAYS_FROM
    return bool(compiler) and worth and not (place.size > 1 and stage.recipe.shard == "full")


def forward_of(stage: Stage, place: distributed.World, compiled: bool) -> nn.Module:
    """The stage's loss of a micro-batch as a module, for one process or for several."""
    forward = distributed.Forward(stage.model, torch.compile(stage.loss) if compiled else stage.loss)
    if place.size > 1 and stage.recipe.shard == "none":
        return distributed.copies(forward, place)
    return forward


def recompute(layers: list[nn.Module]) -> None:
    """Activation checkpointing (Chen et al. 2016): `layers` keep their inputs only and do their forward pass twice."""
    for layer in layers:
        layer.forward = _twice(layer.forward)


def _twice(forward: Any) -> Any:
    def again(*inputs: Any) -> Any:
        return checkpoint(forward, *inputs, use_reentrant=False) if torch.is_grad_enabled() else forward(*inputs)

    return again
