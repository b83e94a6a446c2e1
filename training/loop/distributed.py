"""Several processes on one run, as torchrun starts them: who is who, adding up, and the model's copies or parts.

Owns the process group and the wrapping in DDP or FSDP; which rows are whose is `data/batches.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.run.device import choose
from training.loop.stage import LossSum

PATIENCE = timedelta(hours=2)  # the others wait while one of them prepares the data


@dataclass(frozen=True)
class World:
    """This process's place among `size` processes; alone unless torchrun started it."""

    rank: int = 0
    size: int = 1
    local: int = 0  # rank on this machine: the number of its GPU

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values` added up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, done: bool) -> bool:
        """What the first process says, for all; the others wait until it says so."""
        return bool(self.sum(torch.tensor(float(done and self.first))).item())

    def device(self, name: str) -> torch.device:
        """The device called `name`; of several GPUs, the one that is this process's."""
        chosen = choose(name).device
        return torch.device("cuda", self.local) if chosen.type == "cuda" and self.size > 1 else chosen

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


@cache
def world() -> World:
    """Join the processes that torchrun started (its variables say so), once."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    place = World(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(place.local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    return place


def leave() -> None:
    """Say goodbye to the other processes, if there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class Forward(nn.Module):
    """The stage's loss as a module, so that DDP sees one forward pass whatever the loss calls on the model."""

    def __init__(self, model: nn.Module, loss: Callable[[Any, Any], LossSum]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> LossSum:
        return self.loss(self.model, batch)


def share_out(model: nn.Module, layers: Sequence[nn.Module]) -> None:
    """FSDP2: every process keeps a part of each parameter, and layers are put together while they work."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    device = next(model.parameters()).device.type
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for name in ("hidden", "logits", "encode", "decode"):
        if hasattr(model, name):
            register_fsdp_forward_method(model, name)


def put_away(model: nn.Module) -> None:
    """After a forward pass that no backward pass follows: parts again, where FSDP left the model whole."""
    for module in model.modules():
        if hasattr(module, "reshard"):
            cast(Any, module).reshard()


def copies(forward: Forward, place: World) -> nn.Module:
    """DDP: every process has the whole model, and gradients are averaged."""
    on_gpu = next(forward.parameters()).device.type == "cuda"
    return nn.parallel.DistributedDataParallel(
        forward, device_ids=[place.local] if on_gpu else None, broadcast_buffers=False, gradient_as_bucket_view=True
    )


def without_sync(module: nn.Module) -> AbstractContextManager[Any]:
    """For all micro-batches but the last: gradients are exchanged once a step."""
    return module.no_sync() if isinstance(module, nn.parallel.DistributedDataParallel) else nullcontext()


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, also of one that processes share out."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: Tensor, pattern: Tensor) -> Tensor:
    """`tensor`, whole, shared out as `pattern` is."""
    if not hasattr(pattern, "device_mesh") or not pattern.dim() or tensor.shape != pattern.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = pattern.device_mesh, pattern.placements  # type: ignore[attr-defined]
    return distribute_tensor(tensor.to(pattern.device), mesh, placements)
