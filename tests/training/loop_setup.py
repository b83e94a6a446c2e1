"""A tiny stage for the loop's tests: a decoder of 2 layers on random tokens, and ways to make it go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from training.data.batches import MicroBatch
from training.events import read_events
from training.loop.losses import token_loss
from training.loop.train import LossSum, Stage
from training.recipe import TrainRecipe

SHAPE = GPTConfig(vocab_size=64, context_length=16, n_layer=2, d_model=32, n_head=2, n_kv_head=1, head_dim=16, d_ff=48)


@dataclass(frozen=True)
class Poisoned(MicroBatch):
    """A batch whose loss is not a number, or is multiplied, as the tests want it."""

    factor: float = 1.0


@dataclass
class Random:
    """8 rows of 16 tokens in two micro-batches a step; the same for the same step."""

    steps: int = 12
    poison: dict[int, float] = field(default_factory=dict)  # step → factor of its loss

    def step(self, step: int) -> list[MicroBatch]:
        numbers = torch.Generator().manual_seed(step)
        pieces = []
        for _ in range(2):
            rows = torch.randint(0, 8, (4, 17), generator=numbers)
            pieces.append(Poisoned(rows[:, :-1], rows[:, 1:].contiguous(), factor=self.poison.get(step, 1.0)))
        return pieces


def poisoned_loss(model: Any, batch: Poisoned) -> LossSum:
    result = token_loss(model, batch)
    return result._replace(loss=result.loss * batch.factor)


def recipe(**more: Any) -> TrainRecipe:
    usual: dict[str, Any] = {"warmup_steps": 2, "compile": "no", "precision": "fp32", "checkpoint_minutes": 0.0}
    return TrainRecipe(**(usual | more))


def make_stage(
    folder: Path, batches: Any = None, loss: Callable[[Any, Any], LossSum] = poisoned_loss, **more: Any
) -> Stage:
    model = GPT(SHAPE)
    init_weights(model, torch.Generator().manual_seed(0))
    return Stage("tiny", model, batches or Random(), loss, recipe(**more), folder)


def losses(folder: Path) -> dict[int, float]:
    """Loss by step; a step that was done twice counts as it was last."""
    return {e["step"]: e["loss"] for e in read_events(folder / "events.jsonl") if e["kind"] == "step"}


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [e for e in read_events(folder / "events.jsonl") if e["kind"] == kind]
