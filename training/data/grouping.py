"""Grouping: which examples a step sees, examples of like length together, as a pure function of (recipe, seed, step).

For stages whose examples are rows of a table; they are few enough to be in memory. What an example is, and how a group
of them becomes tensors, is the stage's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from training.recipe import RecipeError, TrainRecipe

POOL = 512  # examples that are sorted by length together: little padding, and still well mixed


class Groups:
    """Indices of examples in micro-batches, `epochs` times over, each epoch in an order of its own."""

    def __init__(self, lengths: Sequence[int], epochs: float, recipe: TrainRecipe) -> None:
        """`lengths` are tokens an example; a micro-batch has at most `micro_tokens` with padding, or one example."""
        self.lengths = np.asarray(lengths, np.int64)
        random = np.random.default_rng(recipe.seed)
        rounds = [random.permutation(len(self.lengths)) for _ in range(int(np.ceil(epochs)))]
        order = np.concatenate(rounds or [np.zeros(0, np.int64)])[: round(epochs * len(self.lengths))]
        self.micro: list[np.ndarray] = []
        for start in range(0, len(order), POOL):
            pool = self._group(order[start : start + POOL], recipe.micro_tokens)
            self.micro += [pool[i] for i in random.permutation(len(pool))]
        self.per_step = max(recipe.batch_tokens // recipe.micro_tokens, 1)
        self.steps = -(-len(self.micro) // self.per_step)  # the last step may be a smaller one

    def _group(self, pool: np.ndarray, budget: int) -> list[np.ndarray]:
        order = pool[self.lengths[pool].argsort(kind="stable")]
        groups, start = [], 0
        for end in range(1, len(order) + 1):
            if end == len(order) or (end + 1 - start) * self.lengths[order[end]] > budget:
                groups.append(order[start:end])
                start = end
        return groups

    def step(self, step: int) -> list[np.ndarray]:
        """The micro-batches of training step `step`; sharing their rows out to processes is the loop's business."""
        return self.micro[step * self.per_step : (step + 1) * self.per_step]


def in_order(lengths: Sequence[int], budget: int) -> list[np.ndarray]:
    """Every example once, the short ones first, in groups of at most `budget` tokens with padding: for validation."""
    order = np.asarray(lengths, np.int64).argsort(kind="stable")
    groups, start = [], 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - start) * lengths[order[end]] > budget:
            groups.append(order[start:end])
            start = end
    return groups


def held_out(text: str, percent: float) -> bool:
    """Whether an example that `text` stands for is held out: by its content, so that it never stands on both sides."""
    letters = "".join(c for c in text.casefold() if c.isalnum())
    mark = hashlib.blake2b(letters.encode(), digest_size=8).digest()
    return int.from_bytes(mark, "big") % 10_000 < percent * 100


def check_split(train: int, valid: int, what: str) -> None:
    """Refuse a split with nothing to learn from.

    Raises:
        RecipeError: there is nothing on the training side.
    """
    if not train:
        raise RecipeError(
            f"There are no {what} to learn from ({valid} are held out). Add more, or lower valid_percent."
        )
