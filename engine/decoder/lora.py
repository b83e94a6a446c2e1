"""LoRA: low-rank additions beside a decoder's frozen matrices (Hu et al. 2021), to be trained, merged or taken off.

Owns the layers. The files that adapters are kept in are `adapter.py`; training them is the lab's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.model import GPT

# What may be adapted, by the last part of a module's name; each block has one of each that its feed-forward has.
TARGETS = ("q", "k", "v", "out", "gate", "up", "down")


@dataclass(frozen=True)
class LoRAConfig:
    """Which layers get how much; the fields of the paper."""

    rank: int = 8
    alpha: float = 16.0  # the addition is multiplied by alpha / rank
    dropout: float = 0.0  # of the addition's input, while training
    targets: tuple[str, ...] = TARGETS
    layers: tuple[int, ...] = ()  # numbers of the blocks that are adapted; empty: all

    def __post_init__(self) -> None:
        unknown = sorted(set(self.targets) - set(TARGETS))
        checks = (
            (self.rank >= 1, "the rank must be at least 1"),
            (self.alpha > 0, "alpha must be above 0"),
            (0 <= self.dropout < 1, "dropout must be from 0 to below 1"),
            (bool(self.targets), "it must name at least one target layer"),
            (not unknown, f"there is no target {', '.join(unknown)}; known are {', '.join(TARGETS)}"),
            (all(layer >= 0 for layer in self.layers), "layers are counted from 0"),
        )
        for ok, what in checks:
            if not ok:
                raise ValueError(f"LoRA cannot be done like this: {what}.")


class LoRALinear(nn.Module):
    """A frozen linear layer plus `scale` · B·A·x: A [rank, in] starts random, B [out, rank] with zeros."""

    def __init__(self, base: nn.Linear, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.base, self.scale, self.dropout = base, scale, dropout
        device, dtype = base.weight.device, torch.float32  # small, and fp32 learns where bf16 would round
        self.a = nn.Parameter(torch.empty(rank, base.in_features, device=device, dtype=dtype))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] → [..., out]."""
        dropped = F.dropout(x, self.dropout, self.training) if self.dropout else x
        low = F.linear(dropped.to(self.a.dtype), self.a)
        return self.base(x) + (F.linear(low, self.b) * self.scale).to(x.dtype)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer with the addition inside its weight; the base layer itself is changed."""
        weight = self.base.weight
        weight.copy_((weight.float() + self.scale * (self.b @ self.a)).to(weight.dtype))
        return self.base


def attach(model: GPT, config: LoRAConfig, generator: torch.Generator | None = None) -> list[str]:
    """Freeze `model` and put additions beside the layers of `config`, in place; returns their names.

    A is drawn as in the reference implementation: uniform up to 1/√in. As B is zero, the model computes what it did.

    Raises:
        ValueError: none of the model's layers is a target.
    """
    model.requires_grad_(False)
    names = [name for name, module in model.named_modules() if _wanted(name, module, config)]
    if not names:
        raise ValueError(f"LoRA cannot be done like this: the model has no layers {', '.join(config.targets)}.")
    for name in names:
        layer = LoRALinear(model.get_submodule(name), config.rank, config.alpha / config.rank, config.dropout)  # type: ignore[arg-type]
        bound = 1 / math.sqrt(layer.base.in_features)
        with torch.no_grad():
            drawn = torch.empty(layer.a.shape).uniform_(-bound, bound, generator=generator)
            layer.a.copy_(drawn)
        _replace(model, name, layer)
    return names


def _wanted(name: str, module: nn.Module, config: LoRAConfig) -> bool:
    parts = name.split(".")
    in_block = len(parts) == 4 and parts[0] == "blocks" and isinstance(module, nn.Linear)
    return in_block and parts[3] in config.targets and (not config.layers or int(parts[1]) in config.layers)


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The additions in `model`, by the name of the layer they stand at."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def merge(model: nn.Module) -> nn.Module:
    """Put every addition into the weight it stands beside, in place; a plain model is left, with names as before."""
    for name, layer in lora_layers(model).items():
        _replace(model, name, layer.merged())
    return model


def detach(model: nn.Module) -> nn.Module:
    """Take every addition off again, in place: the base model is left as it was."""
    for name, layer in lora_layers(model).items():
        _replace(model, name, layer.base)
    return model


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    path, _, last = name.rpartition(".")
    setattr(model.get_submodule(path), last, module)
