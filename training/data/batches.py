"""Batches: which tokens a training step sees. Pure functions of (recipe, seed, step), so a resume is exact.

`PackedRows` is for pretraining: documents one after the other in one long stream, cut into rows.
`Conversations` is for instruction tuning: one chat a row, rows of like length together, loss on the assistant's words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.shards import Shard
from training.recipe import Source, TrainRecipe

IGNORE = -100  # what cross_entropy skips


@dataclass(frozen=True)
class MicroBatch:
    inputs: Tensor  # int64 [rows, length]
    targets: Tensor  # int64 [rows, length], IGNORE where there is no loss


def reading_order(shards: list[Shard], sources: list[Source], seed: int) -> np.ndarray:
    """[documents, 2] of (shard, document), epochs included, in the order they are read.

    Each reading gets a random point inside its source's [start, end]; repeated epochs share that way out evenly,
    so that the second reading of a document never crowds the first.
    """
    random = np.random.default_rng(seed)
    points, refs = [], []
    for index, (shard, source) in enumerate(zip(shards, sources, strict=True)):
        readings = round(shard.count * source.epochs)
        epoch = np.arange(readings) // max(shard.count, 1)
        document = np.concatenate(
            [random.permutation(shard.count) for _ in range(int(np.ceil(source.epochs)))] or [np.zeros(0, np.int64)]
        )[:readings]
        share = (epoch + random.random(readings)) / max(source.epochs, 1e-9)
        points.append(source.start + (source.end - source.start) * np.minimum(share, 1.0))
        refs.append(np.stack([np.full(readings, index), document.astype(np.int64)], axis=1))
    order = np.concatenate(points).argsort(kind="stable")
    return np.concatenate(refs)[order]


class PackedRows:
    """Rows of `context` tokens out of one long stream of documents."""

    def __init__(self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe) -> None:
        self.shards, self.context = shards, recipe.context
        self.micro_rows = recipe.micro_tokens // recipe.context
        self.batch_rows = max(recipe.batch_tokens // recipe.context // self.micro_rows, 1) * self.micro_rows
        self.order = reading_order(shards, sources, recipe.seed)
        lengths = np.concatenate([np.zeros(1, np.int64), self._lengths()])
        self.ends = lengths.cumsum()  # where in the stream each reading starts; the last entry is the stream's length
        self.steps = int((self.ends[-1] - 1) // (self.batch_rows * self.context))

    def _lengths(self) -> np.ndarray:
        length = np.zeros(len(self.order), np.int64)
        for index, shard in enumerate(self.shards):
            of_shard = self.order[:, 0] == index
            documents = self.order[of_shard, 1]
            length[of_shard] = shard.offsets[documents + 1] - shard.offsets[documents]
        return length

    def row(self, index: int) -> np.ndarray:
        """Row `index`: context + 1 tokens, int64; inputs are all but the last, targets all but the first."""
        begin, need = index * self.context, self.context + 1
        reading = int(np.searchsorted(self.ends, begin, side="right")) - 1
        skip, parts = begin - int(self.ends[reading]), []
        while need:
            shard, document = self.order[reading]
            first, last = self.shards[shard].offsets[document : document + 2]
            part = self.shards[shard].tokens[first + skip : min(last, first + skip + need)]
            parts.append(part.astype(np.int64))
            need, skip, reading = need - len(part), 0, reading + 1
        return np.concatenate(parts)

    def step(self, step: int) -> list[MicroBatch]:
        """The micro-batches of training step `step`."""
        first = step * self.batch_rows
        batches = []
        for start in range(first, first + self.batch_rows, self.micro_rows):
            rows = torch.from_numpy(np.stack([self.row(i) for i in range(start, start + self.micro_rows)]))
            batches.append(MicroBatch(rows[:, :-1].contiguous(), rows[:, 1:].contiguous()))
        return batches


class Conversations:
    """Chats, each in a row of its own, `sft_epochs` times in an order shuffled anew."""

    POOL = 512  # chats that are sorted by length together: large enough for little padding, small enough to stay mixed

    def __init__(self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe, pad: int) -> None:
        self.shards, self.recipe, self.pad = shards, recipe, pad
        random = np.random.default_rng(recipe.seed)
        spread = [Source(s.name, s.path, s.licence, epochs=s.sft_epochs) for s in sources]
        order = reading_order(shards, spread, recipe.seed)
        self.micro: list[np.ndarray] = []
        for start in range(0, len(order), self.POOL):
            pool = self._group(order[start : start + self.POOL])
            self.micro += [pool[i] for i in random.permutation(len(pool))]
        self.per_step = max(recipe.batch_tokens // recipe.micro_tokens, 1)
        self.steps = len(self.micro) // self.per_step

    def _group(self, pool: np.ndarray) -> list[np.ndarray]:
        """Chats of like length together, as many as `micro_tokens` hold with padding."""
        lengths = np.array([self._length(*ref) for ref in pool])
        groups: list[np.ndarray] = []
        start = 0
        order = lengths.argsort(kind="stable")
        for end in range(1, len(order) + 1):
            full = end == len(order) or (end + 1 - start) * lengths[order[end]] > self.recipe.micro_tokens
            if full:
                groups.append(pool[order[start:end]])
                start = end
        return groups

    def _length(self, shard: int, document: int) -> int:
        first, last = self.shards[shard].offsets[document : document + 2]
        return min(int(last - first), self.recipe.context)

    def collate(self, refs: np.ndarray) -> MicroBatch:
        """The chats `refs` as padded rows; the loss is on what their masks say."""
        width = max(self._length(*ref) for ref in refs) - 1
        inputs = np.full((len(refs), width), self.pad, np.int64)
        targets = np.full((len(refs), width), IGNORE, np.int64)
        for row, (shard, document) in enumerate(refs):
            first = int(self.shards[shard].offsets[document])
            size = self._length(shard, document)
            tokens = self.shards[shard].tokens[first : first + size].astype(np.int64)
            spoken = self.shards[shard].mask[first + 1 : first + size].astype(bool)
            inputs[row, : size - 1] = tokens[:-1]
            targets[row, : size - 1] = np.where(spoken, tokens[1:], IGNORE)
        return MicroBatch(torch.from_numpy(inputs), torch.from_numpy(targets))

    def step(self, step: int) -> list[MicroBatch]:
        """The micro-batches of training step `step`."""
        return [self.collate(refs) for refs in self.micro[step * self.per_step : (step + 1) * self.per_step]]
