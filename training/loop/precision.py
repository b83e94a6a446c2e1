"""In which precision a step multiplies: bf16 with fp32 weights and sums where the device does it natively."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from engine.run.device import fast_bf16


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[object]:
    """The context for forward passes; `precision` is the recipe's: auto, bf16 or fp32."""
    enabled = precision == "bf16" or (precision == "auto" and fast_bf16(device.type))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
