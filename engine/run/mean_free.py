"""A residual stream whose numbers add up to 0, so that RMSNorm of it is LayerNorm: one operator on a CPU, not four.

A stream of C numbers is written in C' > C others without changing any length: a reflection (Householder 1958) takes the
axis C + 1 to the direction of the mean, and with it all of R^C to what is free of a mean. Where the variance is the
mean square, LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019) differ by a factor. What reads the stream
and what writes it is multiplied by the reflection once, as in SliceGPT (Ashkboos et al. 2024).
"""

from __future__ import annotations

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.layers import GELU, Attention, Block, LayerNorm, RMSNorm, SwiGLU

MULTIPLE = 8  # an odd width would be slow to multiply by


class MeanFree:
    """The way from `width` numbers into the stream and back."""

    def __init__(self, width: int) -> None:
        self.narrow_width, self.width = width, -(-(width + 1) // MULTIPLE) * MULTIPLE
        # The axis that is reflected, taken from there to its opposite; its numbers are alike but for one.
        axis = torch.full((self.width,), -(self.width**-0.5))
        axis[width] += 1
        length = float(axis.norm())
        self._side, self._twice = float(axis[0]) / length, 2 * axis / length
        self._back = -2 * self._side / length

    def into(self, rows: Tensor) -> Tensor:
        """[N, C] → [N, C'], fp32."""
        shares = rows.sum(-1, True) * -self._side
        return torch.addcmul(F.pad(rows, (0, self.width - self.narrow_width)), shares, self._twice)

    def back(self, rows: Tensor) -> Tensor:
        """[N, C'] → [N, C]. That the rows' numbers add up to 0 leaves one of them to know the axis' share by."""
        kept, known = rows.narrow(1, 0, self.narrow_width), rows.narrow(1, self.narrow_width, 1)
        return torch.add(kept, known, alpha=self._back)

    def block(self, plain: Block) -> Block:
        """A copy of `plain`, of RMSNorms and none behind its parts, that reads and writes this stream."""
        block = copy.deepcopy(plain)
        mlp = cast("SwiGLU | GELU", block.mlp)
        attention: Attention = block.attention
        entries = (mlp.gate, mlp.up) if isinstance(mlp, SwiGLU) else (mlp.up,)
        block.attention_norm = self._norm(block.attention_norm, attention.q, attention.k, attention.v)
        block.mlp_norm = self._norm(block.mlp_norm, *entries)
        for layer in (attention.out, mlp.down):
            layer.weight = nn.Parameter(self.into(layer.weight.detach().float().t()).t(), requires_grad=False)
            if layer.bias is not None:
                layer.bias = nn.Parameter(self.into(layer.bias.detach().float()[None])[0], requires_grad=False)
        return block

    def _norm(self, norm: nn.Module, *readers: nn.Linear) -> LayerNorm:
        """What `norm` becomes; its weight goes into those that read what it says."""
        norm = cast(RMSNorm, norm)
        share = self.narrow_width / self.width  # of the mean square in R^C, what it is in R^C'
        for layer in readers:
            weight = layer.weight.detach().float() * norm.weight.detach().float() * share**0.5
            layer.weight = nn.Parameter(self.into(weight), requires_grad=False)
        return LayerNorm(self.width, eps=norm.eps * share, elementwise_affine=False)
