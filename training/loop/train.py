"""The one training loop, for every stage: step, report, validate, sample, checkpoint, stop when told to."""

from __future__ import annotations

import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from engine.model import GPT
from training.data.batches import IGNORE, MicroBatch
from training.events import EventLog
from training.loop.checkpoint import TrainState, load_checkpoint, save_checkpoint
from training.loop.optimizer import lr_scale, make_optimizers, set_lr
from training.recipe import TrainRecipe

COMPILE_PAYS_FROM = 2_000_000  # tokens: below, compiling takes longer than it saves


class Batches(Protocol):
    steps: int

    def step(self, step: int) -> list[MicroBatch]: ...


@dataclass
class Stage:
    """What one run of the loop needs."""

    name: str  # "pretrain" or "sft"
    model: GPT
    batches: Batches
    valid: list[MicroBatch]
    token_bytes: Tensor  # int64 [vocabulary]: bytes each token stands for, 0 for special ones
    recipe: TrainRecipe
    folder: Path
    sample: Callable[[GPT], str]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    max_minutes: float = math.inf


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


def train_step(stage: Stage, state: TrainState, compute_loss: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float]:
    """One optimizer step: gradients over all micro-batches, averaged over the tokens that count."""
    start = time.monotonic()
    scale = lr_scale(state.step, stage.batches.steps, stage.recipe)
    set_lr(state.optimizers, scale)
    micro = stage.batches.step(state.step)
    counted = max(sum(int((m.targets != IGNORE).sum()) for m in micro), 1)
    total, seen = 0.0, 0
    for batch in micro:
        loss = compute_loss(batch.inputs.to(stage.device), batch.targets.to(stage.device)) / counted
        loss.backward()
        total += loss.item()
        seen += batch.inputs.numel()
    norm = torch.nn.utils.clip_grad_norm_(stage.model.parameters(), stage.recipe.grad_clip).item()
    for optimizer in state.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    elapsed = time.monotonic() - start
    state.step, state.tokens, state.seconds = state.step + 1, state.tokens + seen, state.seconds + elapsed
    return {"loss": total, "lr_scale": scale, "grad_norm": norm, "tokens_per_second": seen / elapsed}


def _look(stage: Stage, state: TrainState, log: EventLog) -> None:
    """Validation and a sample, now and then and at the end."""
    last = state.step == stage.batches.steps
    if stage.valid and (last or state.step % stage.recipe.valid_every == 0):
        bits = bits_per_byte(stage.model, stage.valid, stage.token_bytes, stage.device)
        log.write("valid", step=state.step, tokens=state.tokens, bits_per_byte=bits)
        tqdm.write(f"step {state.step}: {bits:.4f} bits per byte held out")
    if last or state.step % stage.recipe.sample_every == 0:
        text = stage.sample(stage.model)
        log.write("sample", step=state.step, text=text)
        tqdm.write(f"step {state.step}: {text!r}")


def summed_loss(model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over the targets that count; bf16 products, fp32 sums."""
    with torch.autocast(inputs.device.type, torch.bfloat16):
        logits = model(inputs)
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")


def loss_function(stage: Stage) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        return summed_loss(stage.model, inputs, targets)

    wanted, compiler = stage.recipe.compile, shutil.which("g++") or shutil.which("clang++")
    worth = stage.name == "pretrain" and stage.batches.steps * stage.recipe.batch_tokens >= COMPILE_PAYS_FROM
    if wanted == "yes" or (wanted == "auto" and compiler and worth):
        return torch.compile(loss)
    return loss


@torch.no_grad()
def bits_per_byte(model: GPT, batches: list[MicroBatch], token_bytes: Tensor, device: torch.device) -> float:
    """Loss in bits over the bytes of the targets, special tokens left out of both: it compares across vocabularies."""
    nats, size = 0.0, 0
    for batch in batches:
        targets = batch.targets.clone()
        real = targets != IGNORE
        size_of = torch.where(real, token_bytes[targets.clamp(min=0)], 0)
        targets[size_of == 0] = IGNORE
        nats += summed_loss(model, batch.inputs.to(device), targets.to(device)).item()
        size += int(size_of.sum())
    return nats / math.log(2) / max(size, 1)


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
