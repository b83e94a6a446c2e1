"""Texts of unlike lengths as rows of one tensor: which go together, and what fills them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

BATCH_TOKENS = 8192  # tokens in memory at once, padding included


def by_length(lengths: list[int], budget: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices of texts in batches of like length, each of at most `budget` tokens with padding (or one long text)."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(ids [B, T] with zeros behind shorter rows, lengths [B]), both int64."""
    lengths = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros(len(rows), int(lengths.max()), dtype=torch.int64)
    for index, row in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row)
    return tokens, lengths
