"""The one checkpoint writer: model, optimizers, random state and position, whole on disk or not there at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass
class TrainState:
    """Everything a run needs to go on as if nothing had happened."""

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: int = 0  # steps done
    tokens: int = 0  # tokens seen
    seconds: float = 0.0  # of training, over all sittings


def save_checkpoint(path: Path, state: TrainState) -> None:
    """Write `state` to `path`: to a temporary name, fsynced, renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "model": state.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "rng": torch.get_rng_state(),
        "step": state.step,
        "tokens": state.tokens,
        "seconds": state.seconds,
    }
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(data, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Put the checkpoint at `path` into `state`, in place."""
    data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    state.model.load_state_dict(data["model"])
    for optimizer, saved in zip(state.optimizers, data["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    torch.set_rng_state(data["rng"])
    state.step, state.tokens, state.seconds = data["step"], data["tokens"], data["seconds"]


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Only the model out of a checkpoint; returns its step, tokens and seconds."""
    data = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(data["model"])
    return {key: data[key] for key in ("step", "tokens", "seconds")}
