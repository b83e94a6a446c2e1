"""What a stage gives to the one training loop, and what the loop may do with its batches: count, cut, move.

Owns the interface; what pretraining, tuning or preferences put into it is `stages/`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from training.recipe import TrainRecipe

Batch = TypeVar("Batch")


class LossSum(NamedTuple):
    """The loss of one micro-batch: a sum and what to divide it by, so that micro-batches and processes add up."""

    loss: Tensor  # scalar with gradient, fp32: summed over what counts
    counted: Tensor | int  # how many that are: tokens, pairs, documents
    metrics: dict[str, Tensor] = {}  # noqa: RUF012  more sums, logged divided by the step's count


class Batches(Protocol):
    """Pure in `step`: the same step gives the same micro-batches in every process that ever asks."""

    steps: int

    def step(self, step: int) -> Sequence[Any]: ...


class First:
    """The first `steps` steps of `batches`."""

    def __init__(self, batches: Batches, steps: int) -> None:
        self._batches, self.steps = batches, min(steps, batches.steps)

    def step(self, step: int) -> Sequence[Any]:
        return self._batches.step(step)


@dataclass
class Stage:
    """One run of the loop; see `train.py` on what each of these has to hold to."""

    name: str  # "pretrain", "sft", …: also the folder's
    model: nn.Module  # what is trained; parameters without requires_grad are left alone
    batches: Batches
    loss: Callable[[Any, Any], LossSum]  # (model, micro-batch) → sums
    recipe: TrainRecipe
    folder: Path
    validate: Callable[[Any], dict[str, float]] | None = None  # model → held-out numbers
    sample: Callable[[Any], str] | None = None  # model → a text to look at
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    max_minutes: float = math.inf  # for this sitting
    same_shape: bool = False  # every micro-batch has the same shape, so that compiling pays
    layers: Sequence[nn.Module] | None = None  # what is recomputed or sharded one by one; None: model.blocks
    shared: bool = False  # `batches` are this process's share already; else the loop shares the rows of each out
    identity: dict[str, Any] = field(default_factory=dict)  # what else a checkpoint has to agree with: the base, say


def rows(batch: Any) -> int:
    """How many rows a micro-batch has."""
    return next(len(t) for t in _tensors(batch).values())


def tokens(batch: Any) -> int:
    """How many tokens a micro-batch has: its own `tokens`, or the elements of its first tensor."""
    own = getattr(batch, "tokens", None)
    return own if isinstance(own, int) else next(t.numel() for t in _tensors(batch).values())


def cut(batch: Batch, parts: int) -> list[Batch]:
    """`batch` in up to `parts` pieces of whole rows."""
    size = -(-rows(batch) // parts)
    spans = [slice(start, start + size) for start in range(0, rows(batch), size)]
    return [_each(batch, lambda t, span=span: t[span]) for span in spans]


def move(batch: Batch, device: torch.device) -> Batch:
    return _each(batch, lambda t: t.to(device))


def _tensors(batch: Any) -> dict[str, Tensor]:
    values = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _each(batch: Batch, change: Callable[..., Tensor]) -> Batch:
    return dataclasses.replace(batch, **{n: change(t) for n, t in _tensors(batch).items()})  # type: ignore[type-var]
