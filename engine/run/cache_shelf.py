"""CacheShelf: the KV caches of the chats talked to last, so that coming back to one does not read it again.

Owns which cache a prompt gets and which is given up when memory runs short. What is in a cache is `kv_cache.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.decoder.kv_cache import KVCache
from engine.run.fuse import Decoder
from engine.run.generate_steps import new_cache

BUDGET = 512 * 2**20  # bytes of all caches together; one is kept whatever its size
STEP = 1024  # tokens of room a cache is made larger by


@dataclass
class Kept:
    """A cache and the tokens it holds."""

    cache: KVCache
    tokens: list[int]


class CacheShelf:
    """The caches of one model, the one used last at the end."""

    def __init__(self, model: Decoder, budget: int = BUDGET) -> None:
        self._model, self._budget = model, budget
        self.kept: list[Kept] = []

    def take(self, tokens: list[int], more: int) -> tuple[Kept, int]:
        """(a cache that holds a beginning of `tokens` and has room for them and `more`, that beginning's length).

        The last token is never in it, for its logits are wanted. A chat that goes on, is edited or answered again keeps
        its cache; another chat that begins alike (a shared system prompt, say) copies the beginning.
        """
        best = max(self.kept, key=lambda kept: shared(kept.tokens, tokens), default=None)
        length = shared(best.tokens, tokens) if best is not None else 0
        if best is None or 2 * length < len(best.tokens):
            best = self._fresh(best, length)
        else:
            self.kept.remove(best)
            self.kept.append(best)
        best.cache.truncate(length)
        best.tokens = tokens[:length]
        limit = self._model.config.context_length
        needed = min(len(tokens) + more, limit)
        best.cache.reserve(min(-(-needed // STEP) * STEP, limit))
        while len(self.kept) > 1 and sum(kept.cache.bytes for kept in self.kept) > self._budget:
            self.kept.pop(0)
        return best, length

    def _fresh(self, like: Kept | None, length: int) -> Kept:
        """A new cache that begins as `like` does for `length` tokens."""
        model = self._model
        cache = new_cache(model, min(-(-max(length, 1) // STEP) * STEP, model.config.context_length))
        if like is not None and length:
            cache.copy_beginning(like.cache, length)
        self.kept.append(Kept(cache, []))
        return self.kept[-1]


def shared(old: list[int], new: list[int]) -> int:
    """How many tokens both begin with, the last of `new` not counted."""
    count = 0
    for mine, theirs in zip(old, new[:-1], strict=False):
        if mine != theirs:
            break
        count += 1
    return count
