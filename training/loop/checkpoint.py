"""The one checkpoint writer: model, optimizers, average and position, whole on disk or not there at all.

One process writes `checkpoint.pt`. Several write `checkpoint/` together, a part each, and any number of processes can
go on from that (`shared_checkpoint.py`); when they end they leave a `checkpoint.pt` with the weights as well.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import TrainingError
from training.loop.average import Average
from training.loop.distributed import like
from training.loop.stage import Stage
from training.recipe import TrainRecipe

NAME = "checkpoint.pt"
SPARE = 16_000_000  # bytes that stay free beside a checkpoint: logs are written too
# What may be another in the next sitting: it changes what is seen of a run, or how it is done, not the run.
FREE = {"valid_every", "valid_tokens", "sample_every", "checkpoint_minutes", "compile", "recompute", "shard", "spike"}
NEW = {f.name: f.default for f in fields(TrainRecipe)}  # what a checkpoint was made with that does not know a field yet


class DiskFull(TrainingError):
    """There is no room for a checkpoint."""


@dataclass
class TrainState:
    """Everything a run needs to go on as if nothing had happened. Randomness needs nothing: each step seeds itself."""

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    step: int = 0  # steps done
    tokens: int = 0  # tokens seen
    seconds: float = 0.0  # of training, over all sittings
    parts: int = 1  # into how many each micro-batch is cut, since memory ran out
    skip: list[int] = field(default_factory=list)  # steps whose batches made the loss diverge
    recent: list[float] = field(default_factory=list)  # the last losses, to know a spike by
    average: Average | None = None
    identity: dict[str, Any] = field(default_factory=dict)  # what a checkpoint has to agree with

    def position(self) -> dict[str, Any]:
        """All of it that is no tensor."""
        names = ("step", "tokens", "seconds", "parts", "skip", "recent", "identity")
        return {name: getattr(self, name) for name in names}

    def put(self, position: dict[str, Any]) -> None:
        for name, value in position.items():
            setattr(self, name, value)


def identity_of(stage: Stage) -> dict[str, Any]:
    """What makes a checkpoint one of this run: the recipe's table, the number of steps, the shapes, the stage's own."""
    recipe = {key: value for key, value in asdict(stage.recipe).items() if key not in FREE}
    shapes = sum(p.numel() for p in stage.model.parameters())
    made: dict[str, Any] = json.loads(
        json.dumps(recipe | stage.identity | {"steps": stage.batches.steps, "parameters": shapes}, default=str)
    )
    return made


def check_identity(found: dict[str, Any] | None, ours: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of another recipe.

    Raises:
        TrainingError: it names the first difference.
    """
    if found is None:
        raise TrainingError(f"{path} is of an older version and cannot be gone on with. Begin again with --fresh.")
    for key in sorted(ours | found):
        was = found.get(key, NEW.get(key))
        if was != ours.get(key):
            raise TrainingError(
                f"{path} is of another recipe: {key} was {was!r} and is {ours.get(key)!r} now. "
                "Put it back, begin again with --fresh, or choose another folder with --run."
            )


def save_checkpoint(folder: Path, state: TrainState) -> Path:
    """Write `state` to `folder`: to a temporary name, fsynced, renamed. Returns its path.

    Raises:
        DiskFull: it does not fit; what was there before still is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_room(folder, state)
    data = {
        "model": state.model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
        "average": state.average.weights if state.average else None,
        **state.position(),
    }
    write_whole(data, folder / NAME)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)  # of several processes, and older now
    return folder / NAME


def write_whole(data: dict[str, Any], path: Path) -> None:
    """torch.save, so that `path` is either as it was or all new.

    Raises:
        DiskFull: it does not fit.
    """
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(data, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
        temporary.unlink(missing_ok=True)
        if getattr(error, "errno", errno.ENOSPC) != errno.ENOSPC:
            raise
        raise DiskFull(f"The checkpoint {path} could not be written ({error}). Make room on the disk.") from error
    temporary.replace(path)


def load_checkpoint(folder: Path, state: TrainState) -> bool:
    """Put the checkpoint in `folder` into `state`, in place; False when there is none.

    Raises:
        TrainingError: it is of another recipe.
    """
    path = folder / NAME
    if not path.exists():
        return False
    data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    check_identity(data.get("identity"), state.identity, path)
    ours = state.model.state_dict()
    state.model.load_state_dict({name: like(tensor, ours[name]) for name, tensor in data["model"].items()})
    for optimizer, saved in zip(state.optimizers, data["optimizers"], strict=True):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for index, values in saved["state"].items():
            saved["state"][index] = {key: like(value, parameters[index]) for key, value in values.items()}
        optimizer.load_state_dict(saved)
    if state.average:
        for name, weight in data["average"].items():
            state.average.weights[name].copy_(like(weight, state.average.weights[name]))
    state.put({key: data[key] for key in state.position()})
    return True


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Only the model out of a checkpoint, averaged where an average was kept; returns its step, tokens and seconds.

    Raises:
        TrainingError: nothing has been learned yet, or by a model of another shape.
    """
    data = torch.load(path, map_location="cpu", weights_only=True)
    if data["step"] == 0:
        raise TrainingError(f"{path} has not learned anything yet. Train that stage first.")
    weights, ours = data["model"] | (data.get("average") or {}), model.state_dict()
    for name in sorted(weights.keys() | ours.keys()):
        was, now = (list(state[name].shape) if name in state else "not there" for state in (weights, ours))
        if was != now:
            raise TrainingError(
                f"{path} was made with another shape than the recipe's: {name} was {was} and is {now} now. Put the "
                "recipe back, or do that stage again with --fresh."
            )
    model.load_state_dict(weights)
    return {key: data[key] for key in ("step", "tokens", "seconds")}


def check_room(folder: Path, state: TrainState) -> None:
    """Before a checkpoint is written.

    Raises:
        DiskFull: a checkpoint beside the present one would not fit.
    """
    need, free = sum(t.numel() * t.element_size() for t in tensors(state)), free_bytes(folder)
    if not any(optimizer.state for optimizer in state.optimizers):  # which will be about twice the weights
        need *= 3
    if need + SPARE > free:
        raise DiskFull(
            f"A checkpoint needs {(need + SPARE) / 1e6:,.0f} MB in {folder} and only {free / 1e6:,.0f} MB are free. "
            "Make room there, or choose another folder with --run."
        )


def tensors(state: TrainState) -> Iterator[Tensor]:
    """All tensors that a checkpoint holds."""
    yield from state.model.state_dict().values()
    for optimizer in state.optimizers:
        for values in optimizer.state.values():
            yield from (value for value in values.values() if isinstance(value, Tensor))
    yield from state.average.weights.values() if state.average else ()


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free
