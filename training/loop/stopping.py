"""When a sitting ends before its run does: Ctrl-C, SIGTERM, or its minutes are over; always between two steps."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from training.loop.distributed import World

REASONS = ("", "time is up", "SIGINT", "SIGTERM")


class Stop:
    """Asked between steps whether to go on."""

    def __init__(self, max_minutes: float) -> None:
        self.end = time.monotonic() + max_minutes * 60
        self.signal = ""

    def reason(self, place: World) -> str:
        """Why to stop now, the same in all processes; empty: go on."""
        own = self.signal or ("time is up" if time.monotonic() > self.end else "")
        if place.size == 1:
            return own
        asked = place.sum(torch.tensor([float(own == reason) for reason in REASONS]))
        return next((reason for reason, count in zip(REASONS, asked, strict=True) if reason and count), "")


@contextmanager
def stop_signals(max_minutes: float) -> Iterator[Stop]:
    """A `Stop` that SIGINT (Ctrl-C) and SIGTERM set, so that the loop ends between two steps with a checkpoint."""
    stop = Stop(max_minutes)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, _frame: object) -> None:
        stop.signal = signal.Signals(number).name

    old = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
