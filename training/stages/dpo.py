"""The stage `dpo`: Direct Preference Optimization (Rafailov et al. 2023).

The model learns to prefer the better reply of each pair more than the model it started from does. What that reference
model says does not change, so its log-probabilities are computed once and kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from engine.decoder.model import GPT
from training.data.batches import IGNORE
from training.data.grouping import Groups, in_order
from training.data.preferences import Pair, PairSet, read_pairs
from training.loop.distributed import world
from training.loop.precision import autocast
from training.loop.stage import LossSum, Stage, move
from training.loop.train import train
from training.recipe import DPORecipe
from training.stages.job import Job, announce, check_steps, require
from training.stages.language import chat_sampler
from training.stages.results import identity_of_start, write_result
from training.stages.start import Start, begin


@dataclass(frozen=True)
class PairBatch:
    inputs: Tensor  # int64 [pairs, 2, length]: the better reply and the worse one, each behind the prompt
    targets: Tensor  # int64 [pairs, 2, length], IGNORE outside the replies
    reference: Tensor  # fp32 [pairs, 2]: the reference model's log-probabilities of the replies


def dpo_loss(policy: Tensor, reference: Tensor, beta: float, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """(loss [pairs], implicit reward margins [pairs]) of log-probabilities [pairs, 2]: the chosen reply's first.

    -log σ(margin) with margin = β·((log π(chosen) - log ref(chosen)) - (log π(rejected) - log ref(rejected))), equation
    7 of the paper; with `smoothing` ε the labels are wrong that often (Mitchell 2023).
    """
    rewards = beta * (policy - reference)
    margins = rewards[:, 0] - rewards[:, 1]
    return -(1 - smoothing) * F.logsigmoid(margins) - smoothing * F.logsigmoid(-margins), margins


class DPO:
    """The loss is averaged over pairs."""

    def __init__(
        self, recipe: DPORecipe, start: Start, pairs: PairSet, device: torch.device, folder: Path,
    ) -> None:  # fmt: skip
        self.recipe, self.start, self.pairs, self.device = recipe, start, pairs, device
        self.model: GPT = start.model.to(device)
        lengths = [_length(pair) for pair in pairs.train]
        self.groups = Groups(lengths, recipe.epochs, recipe)
        self.steps = self.groups.steps
        self.train_reference, self.valid_reference = self._reference(folder)
        self.model.train()

    def step(self, step: int) -> list[PairBatch]:
        return [self._batch(self.pairs.train, self.train_reference, group) for group in self.groups.step(step)]

    def _batch(self, pairs: list[Pair], reference: Tensor, group: np.ndarray) -> PairBatch:
        """The pairs `group` as tensors."""
        replies = [reply for i in group for reply in (pairs[i].chosen, pairs[i].rejected)]
        width = max(len(reply.tokens) for reply in replies) - 1
        inputs = torch.full((len(replies), width), self.start.vocabulary.end)
        targets = torch.full_like(inputs, IGNORE)
        for row, reply in enumerate(replies):
            tokens, mask = torch.tensor(reply.tokens), torch.tensor(reply.mask)
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            targets[row, : len(tokens) - 1] = torch.where(mask[1:] > 0, tokens[1:], IGNORE)
        return PairBatch(inputs.view(-1, 2, width), targets.view(-1, 2, width), reference[group])

    def loss(self, model: GPT, batch: PairBatch) -> LossSum:
        """The loss of the pairs, with their margins and how many are the right way round.

        The better reply's own loss is added, where the recipe gives it a weight: without it, pairs of a short and a
        long reply that begin alike teach a small model to end at once.
        """
        policy = log_probabilities(model, batch.inputs, batch.targets)
        losses, margins = dpo_loss(policy, batch.reference, self.recipe.beta, self.recipe.label_smoothing)
        if self.recipe.nll:
            counted = (batch.targets[:, 0] != IGNORE).sum(-1)
            losses = losses - self.recipe.nll * policy[:, 0] / counted
        margins = margins.detach()
        return LossSum(losses.sum(), len(losses), {"margin": margins.sum(), "accuracy": _right(margins).sum()})

    @torch.no_grad()
    def validate(self, model: GPT) -> dict[str, float]:
        """Loss, the share of held-out pairs whose better reply has the higher implicit reward, and by how much."""
        losses, margins = [], []
        for group in in_order([_length(pair) for pair in self.pairs.valid], self.recipe.micro_tokens):
            batch = move(self._batch(self.pairs.valid, self.valid_reference, group), self.device)
            policy = log_probabilities(model, batch.inputs, batch.targets)
            loss, margin = dpo_loss(policy, batch.reference, self.recipe.beta, self.recipe.label_smoothing)
            losses.append(loss)
            margins.append(margin)
        if not losses:
            return {}
        loss, margin = torch.cat(losses), torch.cat(margins)
        return {"loss": loss.mean().item(), "accuracy": _right(margin).mean().item(), "margin": margin.mean().item()}

    def _reference(self, folder: Path) -> tuple[Tensor, Tensor]:
        """Log-probabilities [pairs, 2] of training and held-out pairs, from `folder`'s cache if it is of these."""
        path, mark = folder / "reference.npz", self._mark()
        if path.is_file():
            with np.load(path) as cached:
                if str(cached["mark"]) == mark:
                    return torch.from_numpy(cached["train"]), torch.from_numpy(cached["valid"])
        train, valid = (self._measure(pairs) for pairs in (self.pairs.train, self.pairs.valid))
        if not world().first:
            return train, valid
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, mark=mark, train=train.numpy(), valid=valid.numpy())
        temporary.replace(path)
        return train, valid

    @torch.no_grad()
    def _measure(self, pairs: list[Pair]) -> Tensor:
        result, nothing = torch.zeros(len(pairs), 2), torch.zeros(len(pairs), 2)
        groups = in_order([_length(pair) for pair in pairs], self.recipe.micro_tokens)
        self.model.eval()
        for group in tqdm(groups, desc="reference", unit="batch", mininterval=1.0, disable=len(groups) < 8):
            batch = move(self._batch(pairs, nothing, group), self.device)
            with autocast(self.device, self.recipe.precision):
                result[group] = log_probabilities(self.model, batch.inputs, batch.targets).cpu()
        return result

    def _mark(self) -> str:
        """Tells pairs and reference model from others: a hash of all tokens and of the weights' sums."""
        digest = hashlib.sha256()
        for pair in (*self.pairs.train, *self.pairs.valid):
            digest.update(repr((pair.chosen, pair.rejected)).encode())
        for name, tensor in self.start.model.state_dict().items():
            digest.update(f"{name} {tensor.double().sum().item()!r} {tensor.double().abs().sum().item()!r}".encode())
        return digest.hexdigest()


def log_probabilities(model: GPT, inputs: Tensor, targets: Tensor) -> Tensor:
    """[pairs, 2]: log-probabilities of the targets that count, summed for each reply of inputs [pairs, 2, length].

    Only their logits are computed.
    """
    shape = inputs.shape
    inputs, targets = inputs.flatten(0, 1), targets.flatten(0, 1)
    wanted = targets != IGNORE
    logits = model.logits(model.hidden(inputs)[wanted])
    each = -F.cross_entropy(logits.float(), targets[wanted], reduction="none")
    sums = torch.zeros(len(inputs), device=inputs.device)
    return sums.index_add(0, wanted.nonzero()[:, 0], each).view(shape[:2])


def _right(margins: Tensor) -> Tensor:
    """1 where the better reply has the higher reward, a half where both are even, as before the first step."""
    return (margins > 0).float() + 0.5 * (margins == 0).float()


def _length(pair: Pair) -> int:
    return 2 * max(len(pair.chosen.tokens), len(pair.rejected.tokens))


def dpo(job: Job) -> bool:
    """Train on the recipe's pairs; `run/dpo` then has the checkpoint, and the adapter or the model. True when done."""
    recipe = job.recipe.dpo
    require("dpo", recipe.files)
    start = begin(job.recipe, job.run, "dpo")
    pairs = read_pairs(recipe, job.data, start.vocabulary.template)
    announce(job, "dpo", start.parent, pairs.report)
    task = DPO(recipe, start, pairs, job.device, job.folder("dpo"))
    check_steps("dpo", task.steps)
    stage = Stage(
        "dpo", task.model, task, task.loss, recipe, job.folder("dpo"), task.validate if pairs.valid else None,
        chat_sampler(start.vocabulary, job.device), job.device, job.max_minutes,
        identity=identity_of_start(job, start, [recipe.files]),
    )  # fmt: skip
    if not train(stage):
        return False
    write_result(job, "dpo", start, task.model, task.validate(task.model.eval()), [recipe.files])
    return True
