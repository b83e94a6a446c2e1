"""Rotary position embedding (Su et al. 2021): the tables, and the published ways of stretching them to longer texts.

Every stretching is worked out once into one divisor a frequency, so that the layers need not know which it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.decoder.config import GPTConfig


def rope_tables(config: GPTConfig, *, local: bool = False, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each [context_length, D], fp32; with `local` those of the layers that have their own base."""
    theta = config.local_rope_theta if local else config.rope_theta
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device)
    frequency = theta ** (-half / config.head_dim)  # D/2, radians a token
    magnitude = 1.0
    if not local:
        magnitude = config.rope_magnitude
        if config.rope_divisors:
            frequency = frequency / torch.tensor(config.rope_divisors, device=device)
    angle = torch.outer(torch.arange(config.context_length, dtype=torch.float32, device=device), frequency)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos() * magnitude, angle.sin() * magnitude


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + D/2) of `x` [B, heads, T, D] by its position's angle; cos and sin are [T, D]."""
    left, right = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat((-right, left), dim=-1), sin)


def scaling(
    rope: Mapping[str, Any], head_dim: int, theta: float, context_length: int
) -> tuple[tuple[float, ...], float]:
    """(divisors, magnitude) of a `rope_scaling` entry of config.json.

    Raises:
        ValueError: a kind of scaling that is not known here.
        KeyError: one of its numbers is missing.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    pairs = head_dim // 2
    if kind == "default" or kind == "dynamic":  # dynamic NTK only changes what lies beyond the trained context
        return (), 1.0
    if kind == "linear":
        return (float(rope["factor"]),) * pairs, 1.0
    if kind == "llama3":
        return _llama3(rope, head_dim, theta), 1.0
    if kind == "yarn":
        return _yarn(rope, head_dim, theta, context_length)
    raise ValueError(f"RoPE scaling of kind {kind!r} is not known here")


def _llama3(rope: Mapping[str, Any], head_dim: int, theta: float) -> tuple[float, ...]:
    """Llama 3.1: low frequencies are divided by the factor, high ones stay, those between are blended."""
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = float(rope["original_max_position_embeddings"])
    divisors = []
    for pair in range(head_dim // 2):
        turns = original * theta ** (-2 * pair / head_dim) / (2 * math.pi)  # full turns in the original context
        kept = min(1.0, max(0.0, (turns - low) / (high - low)))
        divisors.append(1 / ((1 - kept) / factor + kept))
    return tuple(divisors)


def _yarn(rope: Mapping[str, Any], head_dim: int, theta: float, context_length: int) -> tuple[tuple[float, ...], float]:
    """YaRN (Peng et al. 2023): divide what turns slowly, keep what turns fast, and sharpen attention a little."""
    original = float(rope.get("original_max_position_embeddings") or context_length)
    factor = float(rope.get("factor") or context_length / original)

    def pair_of(turns: float) -> float:
        """The (fractional) pair that makes so many turns in the original context."""
        return head_dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first, last = pair_of(float(rope.get("beta_fast") or 32)), pair_of(float(rope.get("beta_slow") or 1))
    if rope.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_dim - 1)
    span = (last - first) or 0.001
    divisors = []
    for pair in range(head_dim // 2):
        kept = 1 - min(1.0, max(0.0, (pair - first) / span))
        divisors.append(1 / ((1 - kept) / factor + kept))
    return tuple(divisors), _yarn_magnitude(rope, factor)


def _yarn_magnitude(rope: Mapping[str, Any], factor: float) -> float:
    def sharpen(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])
    if rope.get("mscale") and rope.get("mscale_all_dim"):
        return sharpen(float(rope["mscale"])) / sharpen(float(rope["mscale_all_dim"]))
    return sharpen(1.0)
