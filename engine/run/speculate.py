"""Prompt-lookup decoding: when the last tokens stood somewhere before, guess that what followed them follows again.

The guess is read together with the next token, which costs little more than reading the one; a guess that turns out
wrong is forgotten. Every token is still chosen by the sampler from the model's own logits, in order and with the same
random numbers, so replies are those of plain decoding (Saxena 2023; the exactness is that of Leviathan et al. 2023 with
a drafter that is sure of itself). Logits are equal up to the rounding of a kernel that reads several rows.
"""

from __future__ import annotations

import time

from torch import Tensor

from engine.decoder.kv_cache import KVCache
from engine.run.fuse import Decoder
from engine.run.generate_steps import decode, read_few
from engine.run.linear_base import FEW

GRAMS = (6, 3)  # tokens that must have stood together before; where the longer ones did, the guess is better
LONGEST = FEW - 1  # tokens guessed at once
SLOWEST = 0.9  # guessing goes on while it takes at most so much of plain decoding's time a token
TRIES = 3  # guesses after which it is judged
RETRY, LONGEST_RETRY = 8, 128  # plain tokens after which it is given another chance: twice as many every time in vain


class Reader:
    """Feeds chosen tokens to the model and hands back the logits behind each, reading ahead where that pays.

    Args:
        history: the tokens that `cache` holds; the reader keeps it up to date.
        enabled: False is plain decoding.
    """

    def __init__(self, model: Decoder, cache: KVCache, history: list[int], *, enabled: bool = True) -> None:
        self._model, self._cache, self.history, self._enabled = model, cache, history, enabled
        self._guessed: list[tuple[int, Tensor]] = []  # tokens read ahead and the logits behind them
        self._seen: dict[tuple[int, ...], int] = {}  # a few tokens → where the one after them stands
        self._indexed = 0
        self.accepted, self.drafted = 0, 0  # guessed tokens that came true, and all of them
        self._plain, self._ahead = _Pace(), _Pace()
        self._waiting, self._retry = 0, RETRY
        self.plain = True  # whether the last token was read alone

    def read(self, token: int) -> Tensor:
        """The logits [vocabulary] behind the history and `token`, which joins it."""
        self.plain = False
        if self._guessed and self._guessed[0][0] == token:
            self.accepted += 1
            self._ahead.tokens += 1
            self.history.append(token)
            return self._guessed.pop(0)[1]
        self.settle()
        self.history.append(token)
        guess = self._guess() if self._enabled else []
        began = time.perf_counter()
        if not guess:
            self.plain = True
            logits = decode(self._model, token, self._cache)
            self._plain.add(time.perf_counter() - began)
            return logits
        rows = read_few(self._model, [token, *guess], self._cache)
        self._ahead.add(time.perf_counter() - began)
        self.drafted += len(guess)
        self._guessed = list(zip(guess, rows[1:], strict=True))
        return rows[0]

    def settle(self) -> None:
        """Forget what was guessed and did not come true; the cache then holds the history and nothing else."""
        self._guessed = []
        self._cache.truncate(len(self.history))

    def _guess(self) -> list[int]:
        self._index()
        if self._waiting:
            self._waiting -= 1
            return []
        if not self._pays():
            self._waiting, self._ahead = self._retry, _Pace()
            self._retry = min(2 * self._retry, LONGEST_RETRY)
            return []
        room = self._cache.capacity - len(self.history)
        for gram in GRAMS:
            start = self._seen.get(tuple(self.history[-gram:])) if len(self.history) >= gram else None
            if start is not None:
                return self.history[start : start + max(0, min(LONGEST, room))]
        return []

    def _pays(self) -> bool:
        """Whether reading ahead has been quicker, token for token; a few tries are free."""
        if self._ahead.calls < TRIES or not self._plain.calls:
            return True
        if self._ahead.seconds_a_token > SLOWEST * self._plain.seconds_a_token:
            return False
        self._retry = RETRY
        return True

    def _index(self) -> None:
        """Note where each few tokens were followed; the last ones are not, yet."""
        for end in range(self._indexed, len(self.history)):
            for gram in GRAMS:
                if end >= gram:
                    self._seen[tuple(self.history[end - gram : end])] = end
        self._indexed = len(self.history)


class _Pace:
    """Time and tokens of one way of decoding."""

    def __init__(self) -> None:
        self.calls, self.tokens, self.seconds = 0, 0, 0.0

    def add(self, seconds: float) -> None:
        self.calls += 1
        self.tokens += 1
        self.seconds += seconds

    @property
    def seconds_a_token(self) -> float:
        return self.seconds / self.tokens
