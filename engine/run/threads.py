"""ThreadChooser: how many threads decode, found out while decoding.

On an idle machine all cores are quickest. On a busy one, each of a token's hundred parallel steps waits for a thread
that another program has pushed aside, and one thread alone can be a hundred times quicker. Nobody can be asked which
it is, and it changes, so both are timed: one at first, and again whenever decoding has become slow. Means are compared:
on a busy machine most tokens are as quick as ever, and the others are what is waited for. A try ends as soon as it
cannot come out better.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

WINDOW = 12  # tokens that are timed together; their mean counts
FIRST = 4  # the same for the first look: on a busy machine these are slow tokens that somebody waits for
SLOW, TWICE = 1.5, 2  # times the best window of this many threads, in so many windows on end: something has changed
PATIENCE = 20  # windows after which the other number is tried in any case


class ThreadChooser:
    """Switches between one thread and `most`, whichever has been quicker a token."""

    def __init__(self, most: int | None = None, use: Callable[[int], None] = torch.set_num_threads) -> None:
        self.most = most or torch.get_num_threads()
        self.now = self.most
        self._use = use
        self._tokens, self._seconds = 0, 0.0  # of the window that is going on
        self._best = float("inf")  # the quickest window since the two were last compared
        self._before: float | None = None  # while the other number is tried: how quick this one was
        self._windows, self._slow, self._untried, self._window = 0, 0, True, FIRST

    def told(self, seconds: float) -> None:
        """A token has taken `seconds` with the present number of threads."""
        if self.most == 1:
            return
        self._tokens, self._seconds = self._tokens + 1, self._seconds + seconds
        bound = self._before if self._before is not None else SLOW * self._best  # seconds a token, to do better than
        if self._tokens < self._window and self._seconds <= bound * self._window:
            return
        mean = self._seconds / self._tokens
        self._tokens, self._seconds = 0, 0.0
        if self._before is not None:
            if mean > self._before:
                self._switch()  # the other number is no better: back
            self._before, self._windows, self._best, self._window = None, 0, float("inf"), WINDOW
            return
        self._windows += 1
        self._best = min(mean, self._best)
        self._slow = self._slow + 1 if mean > SLOW * self._best else 0
        if self._untried or self._slow == TWICE or self._windows > PATIENCE:
            self._untried, self._slow = False, 0
            self._before = mean
            self._switch()

    def _switch(self) -> None:
        self.now = 1 if self.now == self.most else self.most
        self._use(self.now)
