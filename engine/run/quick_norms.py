"""Norms for running: the same numbers in fewer operators than torch's modules take."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.decoder.layers import RMSNorm


def quick_norm(norm: nn.Module, dtype: torch.dtype) -> FullRMSNorm | HalfRMSNorm | QuickLayerNorm | nn.Module:
    """`norm` for running in `dtype`; what is no norm stays what it is."""
    if isinstance(norm, RMSNorm):
        return (
            FullRMSNorm(norm.weight, norm.eps) if dtype == torch.float32 else HalfRMSNorm(norm.weight, norm.eps, dtype)
        )
    return QuickLayerNorm(norm, dtype) if isinstance(norm, nn.LayerNorm) else norm


class FullRMSNorm:
    """RMSNorm of the last dimension in fp32: x / √(‖x‖² + D·eps) · √D·weight, in four kernels; torch has six."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self.weight, self.eps = weight.detach().float(), eps  # [D], or [heads, D]
        self._weight = self.weight * weight.shape[-1] ** 0.5
        self._floor = torch.tensor((weight.shape[-1] * eps) ** 0.5, device=weight.device)

    def __call__(self, x: Tensor) -> Tensor:
        """[…, D] → […, D], fp32."""
        if x.dtype != torch.float32:
            x = x.float()
        size = torch.hypot(torch.linalg.vector_norm(x, 2, -1, True), self._floor)
        return torch.div(x, size).mul_(self._weight)


class HalfRMSNorm:
    """RMSNorm in fewer than 32 bits: the LayerNorm of (x, -x), whose mean is 0 and whose variance is x's mean square.

    LayerNorm is one kernel on a CPU, and none of its steps is rounded.
    """

    def __init__(self, weight: Tensor, eps: float, dtype: torch.dtype) -> None:
        self.weight = weight.detach().to(dtype)  # [C]
        self._signs = torch.tensor([[[1.0], [-1.0]]], dtype=dtype, device=weight.device)
        self._zeros = torch.zeros(2 * len(weight), dtype=dtype, device=weight.device)
        self._twice = torch.cat((self.weight, self.weight))
        self._width, self._shape, self._eps = len(weight), (2 * len(weight),), eps

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C] → [N, C]."""
        if x.dtype != self.weight.dtype:  # small layers give fp32
            x = x.to(self.weight.dtype)
        both = (x.unsqueeze(1) * self._signs).view(x.shape[0], 2 * self._width)
        return torch.layer_norm(both, self._shape, self._twice, self._zeros, self._eps).narrow(1, 0, self._width)


class QuickLayerNorm:
    """LayerNorm, called without what `F.layer_norm` checks."""

    def __init__(self, plain: nn.LayerNorm, dtype: torch.dtype) -> None:
        self.weight = plain.weight.detach().to(dtype) if plain.weight is not None else None
        self.bias = plain.bias.detach().to(dtype) if plain.bias is not None else None
        self._shape, self._eps = plain.normalized_shape, plain.eps

    def __call__(self, x: Tensor) -> Tensor:
        return torch.layer_norm(x, self._shape, self.weight, self.bias, self._eps)
