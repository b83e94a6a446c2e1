"""How a probability or a weight is shown: as one of eight shades, as a small digit, as a bar, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

LEVELS = 8
DIGITS = "₀₁₂₃₄₅₆₇₈₉"
BLOCKS = " ▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"
SURE = 0.9  # from here on a token gets no digit: what is left unmarked was no question


def surprise_level(probability: float | None) -> int:
    """0 for a token that had to come, up to LEVELS for one that hardly could."""
    return 0 if probability is None else round((1 - probability) * LEVELS)


def digit(probability: float | None) -> str:
    """Tenths as a small digit, where there is no colour; nothing for what was sure."""
    return "" if probability is None or probability >= SURE else DIGITS[int(probability * 10 + 1e-9)]


def weight_level(weight: float) -> int:
    """0 … LEVELS by the weight's square root: many small weights make up most of what a head sees."""
    return min(LEVELS, round(LEVELS * weight**0.5))


def blocks(weights: Sequence[float]) -> str:
    """A strip, one block a weight."""
    return "".join(BLOCKS[weight_level(weight)] for weight in weights)


def bar(share: float, width: int) -> str:
    """A bar of `share` of `width` columns, padded."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, part = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[part] if part else "")).ljust(width)


def percent(probability: float) -> str:
    """As one says it: "100 %", "99.7 %", "97 %", "4.2 %", "0.03 %", "< 0.01 %"."""
    value = probability * 100
    if value < 0.01:
        return "< 0.01 %"
    if value >= 99.95:
        return "100 %"
    decimals = 2 if value < 1 else 1 if value < 10 or value >= 99 else 0
    return f"{value:.{decimals}f} %"


def quoted(text: str) -> str:
    """A token's text so that its spaces show; on one line."""
    return f"“{text.replace(chr(10), '')}”"


def squeezed(weights: Sequence[float], width: int) -> list[float]:
    """`weights` in at most `width` columns, each as strong as the strongest it stands for."""
    if len(weights) <= width:
        return list(weights)
    edges = [at * len(weights) // width for at in range(width + 1)]
    return [max(weights[first:last]) for first, last in pairwise(edges)]


def column_of(place: int, places: int, width: int) -> int:
    """In which column of `squeezed` the place is."""
    if places <= width:
        return place
    return next(at for at in range(width) if place < (at + 1) * places // width)
