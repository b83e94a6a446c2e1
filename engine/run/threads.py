"""ThreadChooser: how many threads decode, found out while decoding.

On an idle machine all cores are quickest. On a busy one, each of a token's hundred parallel steps waits for a thread
that another program has pushed aside, and one thread alone can be several times quicker. Nobody can be asked which it
is, and it changes, so both are timed: one at first, and again whenever decoding has become slow.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

WINDOW = 12  # tokens that are timed together; their median counts
FIRST = 4  # the same for the first look: on a busy machine these are slow tokens that somebody waits for
SLOW = 1.5  # times the best window of this many threads: something has changed
PATIENCE = 20  # windows after which the other number is tried in any case


class ThreadChooser:
    """Switches between one thread and `most`, whichever has been quicker a token."""

    def __init__(self, most: int | None = None, use: Callable[[int], None] = torch.set_num_threads) -> None:
        self.most = most or torch.get_num_threads()
        self.now = self.most
        self._use = use
        self._times: list[float] = []
        self._best = float("inf")  # the quickest window since the two were last compared
        self._before: float | None = None  # while the other number is tried: how quick this one was
        self._windows, self._untried, self._window = 0, True, FIRST

    def told(self, seconds: float) -> None:
        """A token has taken `seconds` with the present number of threads."""
        if self.most == 1:
            return
        self._times.append(seconds)
        if len(self._times) < self._window:
            return
        median, self._times = statistics.median(self._times), []
        if self._before is not None:
            if median > self._before:
                self._switch()  # the other number is no better: back
            self._before, self._windows, self._best, self._window = None, 0, float("inf"), WINDOW
            return
        self._windows += 1
        self._best = min(median, self._best)
        if self._untried or median > SLOW * self._best or self._windows > PATIENCE:
            self._untried = False
            self._before = median
            self._switch()

    def _switch(self) -> None:
        self.now = 1 if self.now == self.most else self.most
        self._use(self.now)
