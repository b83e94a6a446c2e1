"""The one training loop, for every stage: step, report, validate, sample, checkpoint, recover, stop when told to.

**What a Stage gives** (`stage.py` has the fields). `model`: any module; parameters without `requires_grad` stay as
they are. `batches`: `steps`, and `step(n)`, the micro-batches of step n, a pure function of n, so that a resume is
exact; the same number of micro-batches in every process (`distributed.world()` says which share is this one's). A
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

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tqdm import tqdm

from training.events import EventLog
from training.loop.checkpoint import TrainState, load_checkpoint, save_checkpoint
from training.loop.losses import bits_per_byte
from training.loop.optimizer import make_optimizers
from training.loop.precision import autocast
from training.loop.stage import LossSum, Stage
from training.loop.step import train_step

__all__ = ["LossSum", "Stage", "TrainState", "bits_per_byte", "train"]

COMPILE_PAYS_FROM = 2_000_000  # tokens: below, compiling takes longer than it saves


def train(stage: Stage) -> bool:
    """Run `stage` from its last checkpoint, if any, to its end; returns False when it was stopped before that."""
    state = TrainState(stage.model, make_optimizers(stage.model, stage.recipe))
    path = stage.folder / "checkpoint.pt"
    if path.exists():
        load_checkpoint(path, state)
    log = EventLog(stage.folder / "events.jsonl")
    log.write("start", stage=stage.name, step=state.step, steps=stage.batches.steps)
    compute_loss = loss_function(stage)
    bar = tqdm(total=stage.batches.steps, initial=state.step, desc=stage.name, unit="step", mininterval=1.0)
    began = saved = time.monotonic()
    with stop_signals() as stop, bar:
        while state.step < stage.batches.steps:
            metrics = train_step(stage, state, compute_loss)
            log.write("step", step=state.step, tokens=state.tokens, **metrics)
            bar.update()
            bar.set_postfix(loss=f"{metrics['loss']:.3f}", tok_s=f"{metrics['tokens_per_second']:.0f}")
            _look(stage, state, log)
            now = time.monotonic()
            halt = stop.is_set() or now - began > stage.max_minutes * 60
            if halt or now - saved > stage.recipe.checkpoint_minutes * 60:
                save_checkpoint(path, state)
                log.write("checkpoint", step=state.step)
                saved = time.monotonic()
            if halt:
                log.write("stopped", step=state.step)
                return False
    save_checkpoint(path, state)
    log.write("end", step=state.step, tokens=state.tokens, seconds=round(state.seconds, 1))
    return True


def _look(stage: Stage, state: TrainState, log: EventLog) -> None:
    """Validation and a sample, now and then and at the end."""
    last = state.step == stage.batches.steps
    stage.model.eval()
    with torch.no_grad(), autocast(stage.device, stage.recipe.precision):
        if stage.validate and (last or state.step % stage.recipe.valid_every == 0):
            numbers = stage.validate(stage.model)
            log.write("valid", step=state.step, tokens=state.tokens, **numbers)
            tqdm.write(f"step {state.step}: " + ", ".join(f"{k} {v:.4f}" for k, v in numbers.items()) + " held out")
        if stage.sample and (last or state.step % stage.recipe.sample_every == 0):
            text = stage.sample(stage.model)
            log.write("sample", step=state.step, text=text)
            tqdm.write(f"step {state.step}: {text!r}")
    stage.model.train()


def loss_function(stage: Stage) -> Callable[[Any], LossSum]:
    """The stage's loss of a micro-batch, compiled where a compiler is there and it pays."""

    def loss(batch: Any) -> LossSum:
        return stage.loss(stage.model, batch)

    wanted, compiler = stage.recipe.compile, shutil.which("g++") or shutil.which("clang++")
    worth = stage.same_shape and stage.batches.steps * stage.recipe.batch_tokens >= COMPILE_PAYS_FROM
    if wanted == "yes" or (wanted == "auto" and compiler and worth):
        return torch.compile(loss)
    return loss


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT (Ctrl-C) and SIGTERM set, so that the loop ends between two steps with a checkpoint."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
