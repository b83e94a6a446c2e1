"""Optimizers and the learning-rate schedule.

Muon (Jordan et al. 2024, torch's own) for the blocks' matrices and AdamW for the rest, or AdamW for everything.
"""

from __future__ import annotations

import torch
from torch import nn

from training.recipe import RecipeError, TrainRecipe


def make_optimizers(model: nn.Module, recipe: TrainRecipe) -> list[torch.optim.Optimizer]:
    """The stage's optimizers; each group remembers its peak rate as `peak_lr`.

    Raises:
        RecipeError: Muon is asked for and this torch (before 2.9) has none.
    """
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and n.startswith("blocks.")]
    tables = [p for n, p in model.named_parameters() if p.dim() == 2 and not n.startswith("blocks.")]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": tables, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if recipe.optimizer == "muon":
        if not hasattr(torch.optim, "Muon"):
            raise RecipeError('Muon needs torch 2.9 or newer; install it or set optimizer = "adamw" in the recipe.')
        optimizers.append(torch.optim.Muon(matrices, lr=recipe.lr, weight_decay=recipe.weight_decay))
    else:
        groups[0]["params"] = [*matrices, *tables]
    optimizers.append(torch.optim.AdamW(groups, lr=recipe.adam_lr, betas=(0.9, 0.95), eps=1e-10, fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def lr_scale(step: int, steps: int, recipe: TrainRecipe) -> float:
    """Share of the peak rate at `step`: linear warmup, then stable, then linear to 0 over the last `decay_fraction`."""
    warmup = min(1.0, (step + 1) / max(recipe.warmup_steps, 1))
    decay = min(1.0, (steps - step) / max(recipe.decay_fraction * steps, 1))
    return min(warmup, decay)


def set_lr(optimizers: list[torch.optim.Optimizer], scale: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * scale
