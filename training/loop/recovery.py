"""What can go wrong in a step and is no reason to give up: a loss that is no number or jumps, memory that runs out.

Owns telling these apart; going back and trying again is `train.py`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

REMEMBERED = 50  # losses that a new one is held against
NEEDED = 20  # before that many, the loss falls too fast to say what is usual


class Diverged(Exception):
    """A step whose update must not be made; the text says why, as half a sentence."""


def check(loss: float, grad_norm: float, recent: Sequence[float], factor: float) -> None:
    """Raise `Diverged` for a loss or gradient that is no number, or a loss far above the `recent` ones.

    Far is `factor` times the usual spread above the median; the spread is the median deviation, at least a tenth of
    the median and at least 0.1, since quiet losses may double without harm. 0: only what is no number.
    """
    if not math.isfinite(loss):
        raise Diverged("the loss is not a number")
    if not math.isfinite(grad_norm):
        raise Diverged("the gradient is not a number")
    if not factor or len(recent) < NEEDED:
        return
    usual = statistics.median(recent)
    spread = 1.4826 * statistics.median(abs(value - usual) for value in recent)
    if loss > usual + factor * max(spread, 0.1 * usual, 0.1):
        raise Diverged(f"the loss jumped from {usual:.3f} to {loss:.3f}")


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` is how torch, on any device, says that memory ran out."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
