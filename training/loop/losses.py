"""Losses of next-token prediction, shared by the stages that do it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.model import GPT
from engine.decoder.view import packed
from training.data.batches import IGNORE, MicroBatch
from training.loop.lean_loss import summed_cross_entropy
from training.loop.precision import autocast
from training.loop.stage import LossSum, move


def token_loss(model: Any, batch: MicroBatch) -> LossSum:
    """Cross-entropy in nats, summed over the targets that count; attention inside a document where rows say so."""
    view = packed(batch.documents) if batch.documents is not None else None
    hidden, counted = model.hidden(batch.inputs, view=view), (batch.targets != IGNORE).sum()
    if (weight := lean_head(model)) is not None:
        return LossSum(lean_cross_entropy(hidden, weight, batch.targets), counted)
    return LossSum(cross_entropy(model.logits(hidden), batch.targets), counted)


def lean_head(model: Any) -> Tensor | None:
    """The matrix [vocabulary, C] that makes `model`'s logits, where the lean way over it is open and pays.

    That is on the CPU, for a plain matrix; not for one that processes share out (FSDP), which only `logits` puts
    together.
    """
    if not isinstance(model, GPT) or model.device.type != "cpu":
        return None
    head = model.embedding if model.head is None else model.head
    plain = isinstance(head, nn.Embedding | nn.Linear) and getattr(head, "bias", None) is None
    weight: Tensor = head.weight  # type: ignore[assignment]
    return weight if plain and not hasattr(weight, "full_tensor") else None


@torch.compiler.disable
def lean_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """`cross_entropy` of hidden [B, T, C] times weight [vocabulary, C], without all logits at once."""
    return summed_cross_entropy(hidden.flatten(0, 1), weight, targets.flatten())


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
