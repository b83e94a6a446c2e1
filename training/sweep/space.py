"""What `tune` tries: every trial as the settings that it puts over the recipe. Torch-free.

Fields span a grid, `pretrain.lr=0.01,0.02`, or a range to draw from, `pretrain.lr=0.005..0.05`; variants are settings
that belong together. Owns the choice; doing the trials is `trials.py`.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.recipe import RecipeError

Settings = tuple[str, ...]  # of one trial: table.field=value
NUMBER = r"[-+]?[\d_.]*\d(?:[eE][-+]?\d+)?\.?"
RANGE = re.compile(rf"\s*({NUMBER})\.\.({NUMBER})\s*")
MOST = 1000  # trials: more is a slip of the hand


@dataclass(frozen=True)
class Axis:
    """One direction of the space: settings to choose from, or a range of a field's values."""

    choices: tuple[Settings, ...] = ()
    field: str = ""
    low: str = ""
    high: str = ""

    def draw(self, numbers: random.Random) -> Settings:
        """A random point: of a range by its logarithm where both ends are above 0, for rates are compared that way."""
        if self.choices:
            return numbers.choice(self.choices)
        low, high = float(self.low), float(self.high)
        share = numbers.random()
        value = low * math.pow(high / low, share) if low > 0 else low + (high - low) * share
        whole = all(re.fullmatch(r"[-+]?[\d_]+", end) for end in (self.low, self.high))
        return (f"{self.field}={round(value) if whole else float(f'{value:.3g}')}",)


def read_field(text: str) -> Axis:
    """The axis of `table.field=value,value,…` or `table.field=low..high`.

    Raises:
        RecipeError: it is neither.
    """
    name, equals, values = text.partition("=")
    if not equals or not values.strip():
        raise RecipeError(f"{text!r} is not a field to try; write table.field=value,value or table.field=low..high.")
    if found := RANGE.fullmatch(values):
        if not float(found[1]) < float(found[2]):
            raise RecipeError(f"{text!r}: a range goes from a lower number to a higher one.")
        return Axis(field=name.strip(), low=found[1], high=found[2])
    parts = [part.strip() for part in re.split(r",(?![^\[]*\])", values)]
    if not all(parts):
        raise RecipeError(f"{text!r}: there is a value missing between two commas.")
    return Axis(tuple((f"{name.strip()}={part}",) for part in parts))


def read_variants(texts: Sequence[str]) -> Axis:
    """The axis whose points are `texts`, each some settings with spaces between; an empty one is the recipe as is."""
    return Axis(tuple(tuple(text.split()) for text in texts))


def grid(axes: Sequence[Axis]) -> list[Settings]:
    """Every combination, in order.

    Raises:
        RecipeError: one axis is a range, or they are too many.
    """
    for axis in axes:
        if not axis.choices:
            raise RecipeError(f"{axis.field} is a range, so say with --trials how many points to draw from it.")
    if (count := math.prod(len(axis.choices) for axis in axes)) > MOST:
        raise RecipeError(f"The fields make {count:,} combinations; draw some of them with --trials.")
    return _once(_joined(point) for point in itertools.product(*(axis.choices for axis in axes)))


def draw(axes: Sequence[Axis], count: int, seed: int) -> list[Settings]:
    """`count` random trials, the same for the same seed; of a grid that has no more than these, all.

    Raises:
        RecipeError: `count` is no possible number.
    """
    if not 1 <= count <= MOST:
        raise RecipeError(f"--trials must be from 1 to {MOST}, not {count}.")
    numbers = random.Random(seed)
    if all(axis.choices for axis in axes) and math.prod(len(axis.choices) for axis in axes) <= MOST:
        points = grid(axes)
        numbers.shuffle(points)
        return points[:count]
    return _once(_joined([axis.draw(numbers) for axis in axes]) for _ in range(count))


def _joined(point: Sequence[Settings]) -> Settings:
    return tuple(itertools.chain.from_iterable(point))


def _once(points: Iterable[Settings]) -> list[Settings]:
    return list(dict.fromkeys(points))
