"""Checkpoints of several processes: each writes its part (torch.distributed.checkpoint), any number can go on from it.

Tensors by name in torch's format and the position as JSON beside them, in one folder that is renamed when it is whole.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from training.loop.checkpoint import NAME, DiskFull, TrainState, check_identity, check_room, write_whole
from training.loop.distributed import World, whole

FOLDER = "checkpoint"


def save_shared(folder: Path, state: TrainState, place: World, *, last: bool) -> Path:
    """Write `state` to `folder/checkpoint`, all processes together; `last`: also the weights to `checkpoint.pt`.

    Raises:
        DiskFull: it does not fit; what was there before still is.
    """
    final, temporary = folder / FOLDER, folder / f"{FOLDER}.tmp"
    if place.first:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
    place.wait()
    _check_all_rooms(folder, state, place)
    dcp.save(_named(state), checkpoint_id=temporary)
    if place.first:
        (temporary / "position.json").write_text(json.dumps(state.position()), encoding="utf-8")
        shutil.rmtree(folder / f"{FOLDER}.old", ignore_errors=True)
        if final.exists():
            final.rename(folder / f"{FOLDER}.old")
        temporary.rename(final)
        shutil.rmtree(folder / f"{FOLDER}.old", ignore_errors=True)
        (folder / NAME).unlink(missing_ok=True)  # older now
    place.wait()
    if last:
        _write_weights(folder, state, place)
    return final


def load_shared(folder: Path, state: TrainState) -> bool:
    """Put the processes' checkpoint in `folder` into `state`, in place; False when there is none.

    Raises:
        TrainingError: it is of another recipe.
    """
    path = folder / FOLDER
    if not path.exists() and (folder / f"{FOLDER}.old").exists():  # killed between two renames
        path = folder / f"{FOLDER}.old"
    if not (path / "position.json").exists():
        return False
    position: dict[str, Any] = json.loads((path / "position.json").read_text(encoding="utf-8"))
    check_identity(position["identity"], state.identity, path)
    _make_room(path, state)
    wanted = _named(state)
    alone = not (dist.is_available() and dist.is_initialized())
    dcp.load(wanted, checkpoint_id=path, no_dist=alone)
    state.put(position)
    return True


def _check_all_rooms(folder: Path, state: TrainState, place: World) -> None:
    """As `check_room`, and all processes come to the same answer."""
    short: DiskFull | None = None
    try:
        check_room(folder, state)
    except DiskFull as error:
        short = error
    if place.sum(torch.tensor(float(short is not None))).item():
        raise short or DiskFull("Another process has no room for its part of the checkpoint.")


def _named(state: TrainState) -> dict[str, Any]:
    """Every tensor of `state` under a name of its own; those that processes share out as they are."""
    found: dict[str, Any] = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
    names = {id(p): name for name, p in state.model.named_parameters()}
    for index, optimizer in enumerate(state.optimizers):
        for parameter, values in optimizer.state.items():
            for key, value in values.items():
                found[f"optimizer.{index}.{key}.{names[id(parameter)]}"] = value
    if state.average:
        found |= {f"average.{name}": tensor for name, tensor in state.average.weights.items()}
    return found


def _make_room(path: Path, state: TrainState) -> None:
    """Empty optimizer state for all that the checkpoint at `path` holds, for it to be read into."""
    stored = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    parameters = dict(state.model.named_parameters())
    for name in stored:
        if name.startswith("optimizer."):
            _, index, key, parameter_name = name.split(".", 3)
            parameter = parameters[parameter_name]
            empty = torch.tensor(0.0) if key == "step" else torch.zeros_like(parameter.detach())
            state.optimizers[int(index)].state[parameter][key] = empty


def _write_weights(folder: Path, state: TrainState, place: World) -> None:
    """`checkpoint.pt` as later stages read it: the weights put together, and no optimizers."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    model = get_model_state_dict(state.model, options=options)
    average = {name: whole(tensor).cpu() for name, tensor in state.average.weights.items()} if state.average else None
    if place.first:
        write_whole({"model": model, "average": average, **state.position()}, folder / NAME)
    place.wait()
