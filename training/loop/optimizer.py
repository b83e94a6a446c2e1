"""Which optimizer moves which parameter, and the learning-rate schedules.

Muon for the matrices of the layers and AdamW for embeddings, norms and heads, or AdamW for everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from training.loop.muon import Muon
from training.recipe import TrainRecipe


def make_optimizers(
    model: nn.Module, recipe: TrainRecipe, layers: Iterable[nn.Module] | None = None
) -> list[torch.optim.Optimizer]:
    """The stage's optimizers over what is trained; each group remembers its peak rate as `peak_lr`.

    `layers` are the modules whose matrices Muon takes; None: the model's blocks.
    """
    inside = {id(p) for layer in (repeated(model) if layers is None else layers) for p in layer.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() == 2 and id(p) in inside]
    tables = [p for p in trained if p.dim() >= 2 and not (p.dim() == 2 and id(p) in inside)]
    vectors = [p for p in trained if p.dim() < 2]
    optimizers: list[torch.optim.Optimizer] = []
    if recipe.optimizer == "muon" and matrices:
        optimizers.append(Muon(matrices, lr=recipe.lr, weight_decay=recipe.weight_decay))
    elif recipe.optimizer == "adamw":
        tables = [*matrices, *tables]
    groups = [(tables, recipe.weight_decay), (vectors, 0.0)]
    filled = [{"params": params, "weight_decay": decay} for params, decay in groups if params]
    if filled:
        optimizers.append(torch.optim.AdamW(filled, lr=recipe.adam_lr, betas=(0.9, 0.95), eps=1e-10, fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def repeated(model: nn.Module) -> list[nn.Module]:
    """The model's blocks: what it is a pile of."""
    return list(getattr(model, "blocks", ()))


def lr_scale(step: int, steps: int, recipe: TrainRecipe) -> float:
    """Share of the peak rate at `step`: a linear warmup, then the recipe's schedule down to its `final_lr`.

    wsd: stable, then linear over the last `decay_fraction` (Hu et al. 2024). cosine: half a wave from the warmup's end
    to the last step (Loshchilov & Hutter 2017).
    """
    warmup = min(1.0, (step + 1) / max(recipe.warmup_steps, 1))
    if recipe.schedule == "cosine":
        way = (step - recipe.warmup_steps) / max(steps - recipe.warmup_steps, 1)
        shape = 0.5 * (1 + math.cos(math.pi * min(max(way, 0.0), 1.0)))
    else:
        shape = min(1.0, (steps - step) / max(recipe.decay_fraction * steps, 1))
    return min(warmup, recipe.final_lr + (1 - recipe.final_lr) * shape)


def set_lr(optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * scale
