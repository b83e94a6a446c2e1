"""One optimizer step: gradients over all micro-batches, divided by what counted, clipped, applied."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from training.loop.checkpoint import TrainState
from training.loop.optimizer import lr_scale, set_lr
from training.loop.precision import autocast
from training.loop.stage import LossSum, Stage, move, tokens


def train_step(stage: Stage, state: TrainState, compute_loss: Callable[[Any], LossSum]) -> dict[str, float]:
    """Do step `state.step`; returns what to log: loss, rates, gradient norm, speed and the stage's own numbers."""
    start = time.monotonic()
    recipe = stage.recipe
    torch.manual_seed(recipe.seed * 1_000_003 + state.step)
    scale = lr_scale(state.step, stage.batches.steps, recipe)
    set_lr(state.optimizers, scale)
    sums: dict[str, Any] = {"loss": 0.0, "count": 0}
    seen = 0
    for batch in stage.batches.step(state.step):
        with autocast(stage.device, recipe.precision):
            result = compute_loss(move(batch, stage.device))
        result.loss.backward()
        for name, value in (result.metrics | {"loss": result.loss.detach(), "count": result.counted}).items():
            sums[name] = sums.get(name, 0) + value
        seen += tokens(batch)
    count = max(float(sums.pop("count")), 1.0)
    parameters = [p for p in stage.model.parameters() if p.grad is not None]
    torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], 1 / count)
    norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.grad_clip or float("inf")).item()
    for optimizer in state.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    elapsed = time.monotonic() - start
    state.step, state.tokens, state.seconds = state.step + 1, state.tokens + seen, state.seconds + elapsed
    numbers = {name: float(value) / count for name, value in sums.items()}
    return numbers | {"lr_scale": scale, "grad_norm": norm, "tokens_per_second": seen / elapsed}
