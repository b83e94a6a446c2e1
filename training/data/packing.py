"""Conversations packed into rows: several a row, numbered, so that each sees only itself, with the loss it has alone.

Against one conversation a padded row this wastes next to nothing, and every row has the same length.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import torch

from training.data.batches import IGNORE, MicroBatch, reading_order
from training.data.shards import Shard
from training.recipe import Source, TrainRecipe

POOL = 1024  # conversations that are fitted into rows together: enough to fill them, and they stay mixed


def fit(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices of `lengths` in rows of at most `size`: the longest first, each into the fullest row that has room."""
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (space left, row), sorted
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect_left(room, (lengths[index], 0))
        if at == len(room):
            rows.append([])
            left, row = size, len(rows) - 1
        else:
            left, row = room.pop(at)
        rows[row].append(index)
        insort(room, (left - lengths[index], row))
    return rows


class PackedConversations:
    """Rows of `context` tokens, each of whole conversations; `sft_epochs` times in an order shuffled anew."""

    def __init__(
        self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe, pad: int, rank: int = 0, world: int = 1
    ) -> None:
        self.shards, self.context, self.pad, self.rank, self.world = shards, recipe.context, pad, rank, world
        random = np.random.default_rng(recipe.seed)
        spread = [Source(s.name, s.path, s.licence, epochs=s.sft_epochs) for s in sources]
        order = reading_order(list(shards), spread, recipe.seed)
        self.cut = sum(self._whole(*ref) - 1 > self.context for ref in order)  # conversations that lose their end
        self.rows: list[np.ndarray] = []
        for start in range(0, len(order), POOL):
            pool = order[start : start + POOL]
            rows = fit([self._length(*ref) for ref in pool], self.context)
            self.rows += [pool[rows[i]] for i in random.permutation(len(rows))]
        self.micro_rows = recipe.micro_tokens // recipe.context
        self.batch_rows = max(recipe.batch_tokens // recipe.context // self.micro_rows, 1) * self.micro_rows
        self.steps = -(-len(self.rows) // self.batch_rows)  # the last step may be a smaller one

    @property
    def count(self) -> int:
        """Rows, all epochs together."""
        return len(self.rows)

    def _whole(self, shard: int, document: int) -> int:
        first, last = self.shards[shard].offsets[document : document + 2]
        return int(last - first)

    def _length(self, shard: int, document: int) -> int:
        """Inputs of one conversation: all tokens but the last."""
        return min(self._whole(shard, document) - 1, self.context)

    def collate(self, rows: list[np.ndarray]) -> MicroBatch:
        """`rows` of conversations as tensors; what is left of a row is padding, a document of its own without loss."""
        shape = (len(rows), self.context)
        inputs, targets = np.full(shape, self.pad, np.int64), np.full(shape, IGNORE, np.int64)
        documents = np.zeros(shape, np.int64)
        for row, refs in enumerate(rows):
            place = 0
            for number, (shard, document) in enumerate(refs):
                first, size = int(self.shards[shard].offsets[document]), self._length(shard, document)
                tokens = self.shards[shard].tokens[first : first + size + 1].astype(np.int64)
                spoken = self.shards[shard].mask[first + 1 : first + size + 1].astype(bool)
                inputs[row, place : place + size] = tokens[:-1]
                targets[row, place : place + size] = np.where(spoken, tokens[1:], IGNORE)
                documents[row, place : place + size] = number
                place += size
            documents[row, place:] = len(refs)
        return MicroBatch(*(torch.from_numpy(part) for part in (inputs, targets, documents)))

    def step(self, step: int) -> list[MicroBatch]:
        """This process's micro-batches of training step `step`: as many as every other has, without loss if need be."""
        rows = self.rows[step * self.batch_rows : (step + 1) * self.batch_rows]
        mine = rows[self.rank :: self.world]
        most = math.ceil(len(rows) / self.world)  # rows that some process has
        count = math.ceil(most / self.micro_rows)
        parts = [mine[i * self.micro_rows : (i + 1) * self.micro_rows] for i in range(count)]
        return [self.collate(part) if part else self._idle() for part in parts]

    def _idle(self) -> MicroBatch:
        batch = self.collate(self.rows[:1])
        return MicroBatch(batch.inputs, torch.full_like(batch.targets, IGNORE), batch.documents)
