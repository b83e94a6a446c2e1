"""Losses of next-token prediction, shared by the stages that do it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.decoder.model import GPT
from engine.decoder.view import packed
from training.data.batches import IGNORE, MicroBatch
from training.loop.precision import autocast
from training.loop.stage import LossSum, move


def token_loss(model: Any, batch: MicroBatch) -> LossSum:
    """Cross-entropy in nats, summed over the targets that count; attention inside a document where rows say so."""
    view = packed(batch.documents) if batch.documents is not None else None
    logits = model.logits(model.hidden(batch.inputs, view=view))
    return LossSum(cross_entropy(logits, batch.targets), (batch.targets != IGNORE).sum())


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Sum over [B, T] targets that are not IGNORE, of logits [B, T, vocabulary], in fp32."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")


@torch.no_grad()
def bits_per_byte(model: GPT, batches: Sequence[MicroBatch], token_bytes: Tensor, device: torch.device) -> float:
    """Loss in bits over the bytes of the targets, special tokens left out of both: it compares across vocabularies.

    `token_bytes` is int64 [vocabulary], the bytes that each token stands for, 0 for special ones.
    """
    nats, size = 0.0, 0
    for batch in batches:
        targets = batch.targets.clone()
        size_of = torch.where(targets != IGNORE, token_bytes[targets.clamp(min=0)], 0)
        targets[size_of == 0] = IGNORE
        counted = move(MicroBatch(batch.inputs, targets, batch.documents), device)
        with autocast(device):
            nats += token_loss(model, counted).loss.item()
        size += int(size_of.sum())
    return nats / math.log(2) / max(size, 1)
