"""One optimizer step: gradients over all micro-batches, divided by what counted, clipped, applied."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from training.loop import recovery
from training.loop.checkpoint import TrainState
from training.loop.distributed import World, without_sync
from training.loop.optimizer import lr_scale, set_lr
from training.loop.precision import autocast
from training.loop.stage import Stage, cut, move, tokens


def train_step(stage: Stage, state: TrainState, forward: Any, place: World | None = None) -> dict[str, float]:
    """Do step `state.step`; returns what to log: loss, rates, gradient norm, speed and the stage's own numbers.

    `forward` is a micro-batch's LossSum: a function, or the module that wraps it where processes share the work.

    Raises:
        Diverged: the loss or gradient is no number, or a spike; nothing has been changed but the gradients.
    """
    start, recipe, place = time.monotonic(), stage.recipe, place or World()
    torch.manual_seed((recipe.seed * 1_000_003 + state.step) * 1009 + place.rank)
    scale = lr_scale(state.step, stage.batches.steps, recipe)
    set_lr(state.optimizers, scale)
    sums = _gradients(stage, state, forward, place)
    count, seen = max(sums.pop("count"), 1.0), int(sums.pop("tokens"))
    numbers = {name: value / count for name, value in sums.items()}
    norm = _scale(list(stage.model.parameters()), place.size / count, recipe.grad_clip)
    recovery.check(numbers["loss"], norm, state.recent, recipe.spike)
    for optimizer in state.optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    elapsed = time.monotonic() - start
    state.step, state.tokens, state.seconds = state.step + 1, state.tokens + seen, state.seconds + elapsed
    state.recent = [*state.recent, numbers["loss"]][-recovery.REMEMBERED :]
    if state.average:
        state.average.update(stage.model, state.step)
    rates = {"lr": state.optimizers[0].param_groups[0]["lr"], "lr_scale": scale}
    return numbers | rates | {"grad_norm": norm, "tokens_per_second": seen / elapsed}


def _gradients(stage: Stage, state: TrainState, forward: Any, place: World) -> dict[str, float]:
    """Backward over the step's micro-batches; returns the sums over all of them and all processes."""
    pieces = [piece for batch in stage.batches.step(state.step) for piece in cut(batch, state.parts)]
    weights = [1.0] * len(pieces)
    if place.size > 1 and not stage.shared:
        pieces, weights = zip(*(_own_rows(piece, place) for piece in pieces), strict=True)  # type: ignore[assignment]
    sums: dict[str, Tensor | float] = {"loss": 0.0, "count": 0.0, "tokens": 0.0}
    for index, (batch, weight) in enumerate(zip(pieces, weights, strict=True)):
        with without_sync(forward) if index < len(pieces) - 1 else nullcontext():
            with autocast(stage.device, stage.recipe.precision):
                result = forward(move(batch, stage.device))
            (result.loss * weight if weight != 1 else result.loss).backward()
        found = {**result.metrics, "loss": result.loss, "count": result.counted, "tokens": tokens(batch)}
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + weight * (
                value.detach().double() if isinstance(value, Tensor) else value
            )
    names = sorted(sums)
    values = torch.tensor([float(sums[name]) for name in names], dtype=torch.float64)
    return dict(zip(names, place.sum(values).tolist(), strict=True))


def _own_rows(batch: Any, place: World) -> tuple[Any, float]:
    """This process's rows of a micro-batch, and 1; where there are too few rows, any, and 0: all have to take part."""
    pieces = cut(batch, place.size)
    return (pieces[place.rank], 1.0) if place.rank < len(pieces) else (pieces[0], 0.0)


def _scale(parameters: list[nn.Parameter], factor: float, most: float) -> float:
    """Multiply gradients by `factor`, then make their norm at most `most` (0: any); returns the norm before that."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return 0.0
    total = torch.nn.utils.get_total_norm(grads)
    norm = float(total.full_tensor() if hasattr(total, "full_tensor") else total) * factor
    if most and norm > most:
        factor *= most / (norm + 1e-6)
    torch._foreach_mul_(grads, factor)
    return norm


def memory_mb(device: torch.device) -> int:
    """The most memory that this process has held so far, on the GPU where there is one, in megabytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 1_000_000
    if sys.platform == "win32":
        return 0  # which says: not known
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1_000_000 if sys.platform == "darwin" else peak * 1024 // 1_000_000
