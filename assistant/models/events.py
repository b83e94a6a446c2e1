"""What is told while a model is added: from the child to us as JSON lines, from us to the screens as these classes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.catalog import ModelInfo

Tell = Callable[..., None]  # tell(kind, **fields)
WINDOW = 8.0  # seconds over which the speed is taken


@dataclass(frozen=True)
class Plan:
    """What is about to be brought."""

    name: str  # of the model's folder
    source: str
    licence: str | None
    size: int  # bytes in all
    have: int  # of them here already, from an earlier try


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    done: int  # bytes
    total: int
    speed: float | None = None  # bytes a second; None: too early to tell
    left: float | None = None  # seconds


@dataclass(frozen=True)
class Note:
    """Something one should know, but that does not end it."""

    text: str


@dataclass(frozen=True)
class Added:
    """The model is there."""

    info: ModelInfo


Event = Plan | Progress | Note | Added


class Meter:
    """Speed and time left, from the bytes of the last seconds. `clock` is replaced in tests."""

    def __init__(self, total: int, have: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), have)])

    def at(self, done: int) -> Progress:
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW:
            self._seen.popleft()
        seconds, came = now - self._seen[0][0], done - self._seen[0][1]
        if seconds < 0.5 or came <= 0:
            return Progress(done, self._total)
        speed = came / seconds
        return Progress(done, self._total, speed, max(0, self._total - done) / speed)


def progress_line(progress: Progress) -> str:
    """ "45 % of 548 MB, 12.3 MB/s, 24 s left"."""
    share = f"{min(100, 100 * progress.done // progress.total)} %" if progress.total else "0 %"
    line = f"{share} of {size_text(progress.total)}"
    if progress.speed is not None and progress.left is not None:
        line += f", {size_text(progress.speed)}/s, {time_text(progress.left)} left"
    return line


def size_text(size: float) -> str:
    """Bytes as people read them: "25.2 MB", "548 MB", "1.23 GB"."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * scale:
            number = size / scale
            digits = 2 if unit in ("GB", "TB") and number < 100 else 1 if number < 99.95 else 0
            return f"{number:,.{digits}f} {unit}"
    return f"{size:.0f} B"


def time_text(seconds: float) -> str:
    """Seconds as people read them: "24 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def parameters_text(parameters: int | None) -> str:
    """ "124 M", "1.24 B"; "?" where nobody knows."""
    if not parameters:
        return "?"
    if parameters >= 999_500_000:
        return f"{parameters / 1e9:.2f} B"
    return f"{parameters / 1e6:.0f} M" if parameters >= 99_500_000 else f"{parameters / 1e6:.1f} M"


def facts_of(message: dict[str, Any]) -> dict[str, Any]:
    """What the child found out, ready for the model's facts."""
    return {key: message.get(key) for key in ("revision", "licence") if message.get(key)} | {
        "sha256": dict(message.get("sha256") or {})
    }
