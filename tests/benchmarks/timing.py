"""Measuring: all contenders in turn, so that a busy moment hits everyone; median and spread, never the best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True)
class Measured:
    """Values of one contender over all rounds."""

    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def show(self, unit: str) -> str:
        low, high = min(self.values), max(self.values)
        return f"{_number(self.median)} {unit} ({_number(low)} to {_number(high)})"


Key = TypeVar("Key", bound=Hashable)
PAUSE = 0.3  # seconds between contenders: one's threads may spin for so long when there is nothing more to do for them


def rounds(contenders: Mapping[Key, Callable[[], float]], count: int) -> dict[Key, Measured]:
    """Every contender once a round, `count` rounds; each returns its own figure. The first round is thrown away."""
    values: dict[Key, list[float]] = {name: [] for name in contenders}
    for index in range(count + 1):
        for name, run in contenders.items():
            time.sleep(PAUSE)
            value = run()
            if index:
                values[name].append(value)
    return {name: Measured(v) for name, v in values.items()}


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def table(title: str, unit: str, results: Mapping[str, Measured], *, ours: str, more_is_better: bool) -> None:
    """Print one comparison; the ratio says how many times better ours is than each line."""
    print(f"\n{title}")
    for name, measured in results.items():
        ratio = results[ours].median / measured.median
        ratio = ratio if more_is_better else 1 / ratio
        note = "" if name == ours else f"   ours is {ratio:.2f}×"
        print(f"  {name:44s} {measured.show(unit)}{note}", flush=True)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
