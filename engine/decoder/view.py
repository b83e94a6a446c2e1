"""View: which positions the tokens of a batch stand on, and which tokens each may look at, where plain order won't do.

One row of text needs none: its tokens stand one after the other and see everything before them. Padded batches and
several documents packed into one row do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """Positions [B, T], int64, and mask [B, 1, T, S], bool: True where a token may look at one of the S so far."""

    positions: Tensor
    mask: Tensor


def padded(padding: Tensor, start: int, length: int) -> View:
    """Rows that begin with `padding` [B] tokens which nobody sees: `length` tokens behind `start` others.

    A text's positions do not depend on how much padding stands before it. Padding sees itself, so that no row of the
    attention is empty (it would be not a number), in layers with a window neither, and nothing reads what comes of it.
    """
    keys = torch.arange(start + length, device=padding.device)  # S
    queries = keys[start:]  # T
    positions = (queries[None, :] - padding[:, None]).clamp(min=0)
    causal = keys[None, :] <= queries[:, None]  # T S
    real = keys[None, :] >= padding[:, None]  # B S
    blind = queries[None, :] < padding[:, None]  # B T
    mask = (causal[None] & real[:, None]) | (blind[:, :, None] & (keys[None, :] == queries[:, None]))
    return View(positions, mask[:, None])


def both_ways(lengths: Tensor, width: int) -> View:
    """Rows of `width` tokens whose first `lengths` [B] are real and see each other, what follows included.

    This is BERT's attention, for filling gaps and for classifying. Padding sees itself as well, so that no row of the
    attention is empty, in layers with a window neither; nobody sees it, and nothing reads what comes of it.
    """
    index = torch.arange(width, device=lengths.device)
    real = index[None, :] < lengths[:, None]  # B S
    itself = index[None, :] == index[:, None]  # T S
    return View(index.expand(len(lengths), -1), (real[:, None, :] | itself)[:, None])


def packed(documents: Tensor, *, causal: bool = True) -> View:
    """Rows of several documents: `documents` [B, T], a number for each token that grows from one to the next.

    A token sees the tokens of its own document up to itself (all of them, if not `causal`), and positions begin anew
    with each document.
    """
    index = torch.arange(documents.shape[1], device=documents.device)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    first = torch.where(begins, index, 0).cummax(dim=1).values  # B T: where each token's document begins
    mask = documents[:, :, None] == documents[:, None, :]
    if causal:
        mask = mask & (index[None, :] <= index[:, None])
    return View(index - first, mask[:, None])
