"""Batches: which tokens a training step sees. Pure functions of (recipe, seed, step), so a resume is exact.

`PackedRows` is for pretraining: documents one after the other in one long stream, cut into rows. `SlidingWindows` reads
the same stream in windows that may overlap. `Conversations` is for instruction tuning: one chat a row, rows of like
length together, loss on the assistant's words. The place in the data is the step, and the checkpoint keeps that.

With several processes every step's rows are shared out: together they see exactly what one alone would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from training.data.shards import Shard
from training.recipe import RecipeError, Source, TrainRecipe

IGNORE = -100  # what cross_entropy skips


@dataclass(frozen=True)
class MicroBatch:
    inputs: Tensor  # int64 [rows, length]
    targets: Tensor  # int64 [rows, length], IGNORE where there is no loss
    # int64 [rows, length], growing from one document to the next: what `engine.decoder.view.packed` wants, so that
    # nothing is seen across documents. None: a token sees all of its row that stands before it.
    documents: Tensor | None = None


class Counted(Protocol):
    @property
    def count(self) -> int: ...


def reading_order(shards: list[Counted], sources: list[Source], seed: int) -> np.ndarray:
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


class Rows:
    """Rows of `context` tokens, the same number of them every step but for a ramp at the start (McCandlish et al. 2018:
    small batches do while the loss falls fast); what a row holds is the subclass's `row`."""

    def __init__(self, recipe: TrainRecipe, rank: int, world: int) -> None:
        self.context, self.inside = recipe.context, recipe.attention == "document"
        micro_rows = recipe.micro_tokens // recipe.context
        self.batch_rows = max(recipe.batch_tokens // recipe.context // micro_rows, 1) * micro_rows
        if self.batch_rows % world:
            raise RecipeError(
                f"{world} processes cannot share a batch of {self.batch_rows} rows evenly: "
                f"make batch_tokens a multiple of {world * recipe.context}."
            )
        self.rank, self.world = rank, world
        self.micro_rows = min(micro_rows, self.batch_rows // world)
        self.ramp = self._ramp(recipe, math.lcm(micro_rows, world))
        self.steps = 0

    def _ramp(self, recipe: TrainRecipe, unit: int) -> np.ndarray:
        """int64 [ramp_steps + 1]: where each step of the ramp begins, in rows; then the first step of full size.

        Steps are whole numbers of `unit` rows, so that every micro-batch has the same shape.
        """
        if not recipe.ramp_from:
            return np.zeros(1, np.int64)
        way = np.arange(recipe.ramp_steps) / recipe.ramp_steps
        first = recipe.ramp_from / recipe.context
        wanted = first + way * (self.batch_rows - first)
        sizes = np.clip((wanted / unit).round().astype(np.int64) * unit, unit, self.batch_rows)
        return np.concatenate([np.zeros(1, np.int64), sizes.cumsum()])

    def begin(self, step: int) -> int:
        """The first row of training step `step`, over all processes."""
        last = len(self.ramp) - 1
        return int(self.ramp[min(step, last)]) + max(step - last, 0) * self.batch_rows

    def whole_steps(self, rows: int) -> int:
        """How many steps `rows` rows are enough for."""
        if rows < self.ramp[-1]:
            return int(np.searchsorted(self.ramp, rows, side="right")) - 1
        return len(self.ramp) - 1 + int((rows - self.ramp[-1]) // self.batch_rows)

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Row `index`: context + 1 tokens, and as many numbers that say which document each is of; both int64.

        Inputs are all tokens but the last, targets all but the first. An `<|endoftext|>` counts to the document that
        it stands before, so that the first word of a document has something it is predicted from.
        """
        raise NotImplementedError

    def step(self, step: int) -> list[MicroBatch]:
        """This process's micro-batches of training step `step`."""
        own = self.own_rows(step)
        return [self._batch(own[start : start + self.micro_rows]) for start in range(0, len(own), self.micro_rows)]

    def own_rows(self, step: int) -> range:
        """This process's rows of training step `step`."""
        begin, size = self.begin(step), self.begin(step + 1) - self.begin(step)
        return range(begin + self.rank * size // self.world, begin + (self.rank + 1) * size // self.world)

    def _batch(self, indices: range) -> MicroBatch:
        tokens, documents = (torch.from_numpy(np.stack(part)) for part in zip(*map(self.row, indices), strict=True))
        inside = (documents - documents[:, :1])[:, :-1].contiguous() if self.inside else None
        return MicroBatch(tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous(), inside)


class PackedRows(Rows):
    """Rows out of one long stream of documents."""

    def __init__(
        self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(recipe, rank, world)
        self.shards = shards
        self.order = reading_order(list(shards), sources, recipe.seed)
        lengths = np.concatenate([np.zeros(1, np.int64), self._lengths()])
        self.ends = lengths.cumsum()  # where in the stream each reading starts; the last entry is the stream's length
        self.steps = self.whole_steps(int(self.ends[-1] - 1) // self.context)

    def _lengths(self) -> np.ndarray:
        length = np.zeros(len(self.order), np.int64)
        for index, shard in enumerate(self.shards):
            of_shard = self.order[:, 0] == index
            documents = self.order[of_shard, 1]
            length[of_shard] = shard.offsets[documents + 1] - shard.offsets[documents]
        return length

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        begin, need = index * self.context, self.context + 1
        reading = int(np.searchsorted(self.ends, begin, side="right")) - 1
        skip, parts, numbers = begin - int(self.ends[reading]), [], []
        while need:
            shard, document = self.order[reading]
            first, last = self.shards[shard].offsets[document : document + 2]
            part = self.shards[shard].tokens[first + skip : min(last, first + skip + need)]
            parts.append(part.astype(np.int64))
            numbers.append(np.full(len(part), reading))
            if first + skip + len(part) == last:
                numbers[-1][-1] += 1
            need, skip, reading = need - len(part), 0, reading + 1
        return np.concatenate(parts), np.concatenate(numbers)


@dataclass(frozen=True)
class Windows:
    """The windows of one source's stream: one every `stride` tokens, each with a token to spare for the targets."""

    shard: Shard
    context: int
    stride: int

    @property
    def count(self) -> int:
        return max(-(-(len(self.shard.tokens) - self.context) // self.stride), 0)


class SlidingWindows(Rows):
    """Windows every `stride` tokens of each source's stream, in shuffled order (Raschka 2024, chapter 2).

    With a stride below `context` they overlap, and a token is seen at several distances from a row's beginning.
    """

    def __init__(
        self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__(recipe, rank, world)
        self.windows = [Windows(shard, recipe.context, recipe.stride or recipe.context) for shard in shards]
        self.order = reading_order(list(self.windows), sources, recipe.seed)
        self.steps = self.whole_steps(len(self.order))

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        source, number = self.order[index]
        window = self.windows[source]
        places = np.arange(self.context + 1) + number * window.stride
        tokens = window.shard.tokens[places[0] : places[-1] + 1].astype(np.int64)
        return tokens, np.searchsorted(window.shard.offsets, places + 1, side="right").astype(np.int64)


def make_rows(shards: list[Shard], sources: list[Source], recipe: TrainRecipe, rank: int = 0, world: int = 1) -> Rows:
    """The rows that the recipe's `sampling` asks for."""
    kind = SlidingWindows if recipe.sampling == "windows" else PackedRows
    return kind(shards, sources, recipe, rank, world)


class Conversations:
    """Chats, each in a row of its own, `sft_epochs` times in an order shuffled anew."""

    POOL = 512  # chats that are sorted by length together: large enough for little padding, small enough to stay mixed

    def __init__(
        self, shards: list[Shard], sources: list[Source], recipe: TrainRecipe, pad: int, rank: int = 0, world: int = 1
    ) -> None:
        self.shards, self.recipe, self.pad, self.rank, self.world = shards, recipe, pad, rank, world
        random = np.random.default_rng(recipe.seed)
        spread = [Source(s.name, s.path, s.licence, epochs=s.sft_epochs) for s in sources]
        order = reading_order(list(shards), spread, recipe.seed)
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
        """This process's micro-batches of training step `step`: of every group its share of the chats.

        A process that a small group leaves without a chat gets one that no loss is on, since all have to take part.
        """
        groups = self.micro[step * self.per_step : (step + 1) * self.per_step]
        return [
            self.collate(group[self.rank :: self.world]) if self.rank < len(group) else self._idle(group)
            for group in groups
        ]

    def _idle(self, group: np.ndarray) -> MicroBatch:
        batch = self.collate(group[:1])
        return MicroBatch(batch.inputs, torch.full_like(batch.targets, IGNORE))
