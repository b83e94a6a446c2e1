"""Progress of a run, from the events its child appends: losses, rate, speed, samples, and a log for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.models.events import time_text
from assistant.text import printable

POINTS = 20_000  # of a curve that are kept


class Tail:
    """Reads what has been added to an events.jsonl since the last look; half a line waits for its other half."""

    def __init__(self, path: Path) -> None:
        self.path, self._at, self._half = path, 0, b""

    def new(self) -> list[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        *lines, self._half = (self._half + data).split(b"\n")
        found = []
        for line in lines:
            try:
                found.append(json.loads(line))
            except ValueError:  # cut by a crash
                continue
        return [event for event in found if isinstance(event, dict) and "kind" in event]


@dataclass
class Progress:
    """What is known of a run so far. `look` brings it up to date."""

    folder: Path
    stages: tuple[str, ...]
    stage: str = ""
    step: int = 0
    steps: int = 0
    train: list[tuple[int, float]] = field(default_factory=list)  # (step, loss in nats a token)
    valid: list[tuple[int, float]] = field(default_factory=list)  # (step, held-out number)
    valid_name: str = ""  # bits per byte, loss
    rate: float = 0.0  # learning rate
    speed: float = 0.0  # tokens a second
    left: float | None = None  # seconds
    memory: int = 0  # MB
    parameters: int = 0
    trained: int = 0  # parameters
    samples: list[tuple[int, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tails = [(name, Tail(self.folder / name / "events.jsonl")) for name in ("", *self.stages)]

    def look(self) -> bool:
        """Read what is new; whether there was anything."""
        found = sorted(
            ((event.get("time", 0.0), name, event) for name, tail in self._tails for event in tail.new()),
            key=lambda row: row[0],
        )
        for _, name, event in found:
            self._take(name, event)
        return bool(found)

    def _take(self, stage: str, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if stage and stage != self.stage and kind == "start":
            self.stage, self.train, self.valid = stage, [], []
        if kind == "start":
            self.step, self.steps = int(event.get("step", 0)), int(event.get("steps", 0))
            self.parameters, self.trained = int(event.get("parameters", 0)), int(event.get("trained", 0))
            self.train = [p for p in self.train if p[0] <= self.step]  # steps after the checkpoint are done again
            self.valid = [p for p in self.valid if p[0] <= self.step]
            again = f" again from step {self.step}" if self.step else ""
            self._say(f"{stage}: begins{again}; {self.trained:,} of {self.parameters:,} parameters are trained")
        elif kind == "step":
            self._step(event)
        elif kind == "valid":
            self._valid(event)
        elif kind == "sample":
            self.samples.append((int(event["step"]), printable(str(event.get("text", "")))))
        elif kind in ("recovery", "no_room", "stopped", "phase", "paused", "done", "end", "checkpoint"):
            self._say(_sentence(stage, event))

    def _step(self, event: dict[str, Any]) -> None:
        self.step, self.steps = int(event["step"]), int(event.get("steps", self.steps))
        self.train = (
            [*self.train[-POINTS:], (self.step, float(event["loss"]))] if len(self.train) > POINTS else self.train
        )
        if not self.train or self.train[-1][0] < self.step:
            self.train.append((self.step, float(event["loss"])))
        self.rate, self.speed = float(event.get("lr", 0.0)), float(event.get("tokens_per_second", 0.0))
        self.left, self.memory = event.get("eta_seconds"), int(event.get("memory_mb", 0))

    def _valid(self, event: dict[str, Any]) -> None:
        name = next((n for n in ("bits_per_byte", "loss") if n in event), "")
        if name:
            self.valid_name = name.replace("_", " ")
            self.valid.append((int(event["step"]), float(event[name])))
            self._say(f"step {event['step']}: {self.valid_name} {event[name]:.3f} held out")

    def _say(self, line: str) -> None:
        if line and (not self.log or self.log[-1] != line):
            self.log.append(printable(line))

    @property
    def share(self) -> float:
        """How much of the stage is done, 0 … 1."""
        return self.step / self.steps if self.steps else 0.0

    def line(self) -> str:
        """How far the training is, in a line."""
        parts = [f"{self.share:.0%} of {self.steps} steps"] if self.steps else []
        if self.train:
            parts.append(f"loss {self.train[-1][1]:.2f}")
        if self.left is not None:
            parts.append(f"{time_text(self.left)} left")
        return ", ".join(parts)


def _sentence(stage: str, event: dict[str, Any]) -> str:
    kind = event["kind"]
    if kind == "phase":
        return f"{event.get('state', '')}: {event.get('text', '')}".rstrip(": ")
    if kind == "checkpoint":
        return f"step {event.get('step')}: checkpoint, {event.get('mb')} MB"
    if kind == "stopped":
        return f"step {event.get('step')}: stopped, with a checkpoint"
    if kind == "end":
        return f"{stage}: done, {event.get('tokens', 0):,} tokens in {time_text(float(event.get('seconds', 0)))}"
    if kind == "done":
        return "done"
    return str(event.get("text", ""))
