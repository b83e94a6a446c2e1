"""The stage `mlm`: the same blocks without the causal mask, learning to fill in masked words (Devlin et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.decoder.model import GPT
from engine.decoder.view import packed
from engine.text.tokenizer import Tokenizer
from training.data.batches import IGNORE, MicroBatch, Rows
from training.data.vocabulary import check_shards
from training.loop.stage import LossSum, Stage, move
from training.loop.train import train
from training.recipe import MLMRecipe
from training.stages.job import Job, announce, check_steps
from training.stages.language import document_rows, tell_if_unmeasured
from training.stages.results import identity_of_start, write_result
from training.stages.start import Start, begin

MASKS = ("<|mask|>", "[MASK]", "<mask>")  # what vocabularies call it; one that has none gets an id behind its last


@dataclass(frozen=True)
class MaskedBatch:
    inputs: Tensor  # int64 [rows, length], some tokens hidden or changed
    targets: Tensor  # int64 [rows, length]: the true tokens where they are to be predicted, else IGNORE
    documents: Tensor  # int64 [rows, length], growing from one document to the next


def mask_tokens(
    tokens: np.ndarray, kept: np.ndarray, recipe: MLMRecipe, mask: int, vocabulary: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, targets) of `tokens`: 15 % are to be predicted, and 80 % of these masked, 10 % any token, 10 % as is.

    `kept` says which tokens are never chosen (special ones); the shares are the recipe's. Any token is one below
    `vocabulary`.
    """
    chosen = (random.random(tokens.shape) < recipe.share) & ~kept
    way = random.random(tokens.shape)
    inputs = np.where(chosen & (way < recipe.masked), mask, tokens)
    other = chosen & (way >= recipe.masked) & (way < recipe.masked + recipe.random)
    inputs = np.where(other, random.integers(0, vocabulary, tokens.shape), inputs)
    return inputs, np.where(chosen, tokens, IGNORE)


def mask_token(tokenizer: Tokenizer) -> int:
    """The id of the mask: the vocabulary's own, or the one behind its last."""
    return next((tokenizer.special_tokens[m] for m in MASKS if m in tokenizer.special_tokens), tokenizer.vocab_size)


@torch.no_grad()
def make_room(model: GPT, token: int, seed: int) -> None:
    """Let `model` know ids up to `token`, in place: new rows start as small random numbers around the others' mean."""
    missing = token + 1 - model.embedding.weight.shape[0]
    if missing <= 0:
        return
    generator = torch.Generator().manual_seed(seed)
    for layer in (model.embedding, model.head):
        if layer is None:
            continue
        table: Tensor = layer.weight  # type: ignore[assignment]
        rows = table.mean(0) + 0.02 * torch.randn(missing, table.shape[1], generator=generator)
        layer.weight = nn.Parameter(torch.cat((table, rows.to(table.dtype))), requires_grad=table.requires_grad)
    model.config = replace(model.config, vocab_size=token + 1)


class MLM:
    """The loss is averaged over the tokens to be predicted."""

    def __init__(
        self, recipe: MLMRecipe, start: Start, rows: Rows, valid: list[MicroBatch], device: torch.device
    ) -> None:
        self.recipe, self.start, self.rows, self.device = recipe, start, rows, device
        tokenizer = start.vocabulary.tokenizer
        self.mask, self.vocabulary = mask_token(tokenizer), tokenizer.vocab_size
        make_room(start.model, self.mask, recipe.seed)
        self.model: GPT = start.model.to(device).train()
        self.special = np.zeros(max(self.vocabulary, self.mask) + 1, dtype=bool)
        self.special[[*tokenizer.special_tokens.values(), self.mask]] = True
        self.steps = rows.steps
        self.valid = [self._masked(batch, (recipe.seed, 1, number)) for number, batch in enumerate(valid)]

    def step(self, step: int) -> list[MaskedBatch]:
        """The mask is drawn anew for every row, from its number alone, whoever has it."""
        batches, row = [], self.rows.own_rows(step).start
        for micro in self.rows.step(step):
            batches.append(self._masked(micro, (self.recipe.seed, 0, row)))
            row += len(micro.inputs)
        return batches

    def _masked(self, micro: MicroBatch, seed: tuple[int, int, int]) -> MaskedBatch:
        rows = []
        for index, tokens in enumerate(micro.inputs.numpy()):
            random = np.random.default_rng((*seed[:2], seed[2] + index))
            rows.append(mask_tokens(tokens, self.special[tokens], self.recipe, self.mask, self.vocabulary, random))
        inputs, targets = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
        documents = micro.documents if micro.documents is not None else torch.zeros_like(inputs)
        return MaskedBatch(inputs, targets, documents)

    def loss(self, model: GPT, batch: MaskedBatch) -> LossSum:
        """Cross-entropy in nats of the tokens to be predicted, and how many these are."""
        logits, targets = predict(model, batch)
        right = (logits.argmax(-1) == targets).sum()
        return LossSum(F.cross_entropy(logits, targets, reduction="sum"), len(targets), {"accuracy": right})

    @torch.no_grad()
    def validate(self, model: GPT) -> dict[str, float]:
        """Cross-entropy in nats of held-out masked tokens, and the share that is guessed right."""
        loss, right, count = 0.0, 0, 0
        for batch in self.valid:
            logits, targets = predict(model, move(batch, self.device))
            loss += F.cross_entropy(logits, targets, reduction="sum").item()
            right, count = right + int((logits.argmax(-1) == targets).sum()), count + len(targets)
        return {"loss": loss / count, "accuracy": right / count} if count else {}

    @torch.no_grad()
    def sample(self, model: GPT) -> str:
        """The beginning of a held-out row with its gaps, each with the truth and the guess."""
        if not self.valid:
            return ""
        batch, words = move(self.valid[0], self.device), []
        tokenizer = self.start.vocabulary.tokenizer
        logits = model.logits(model.hidden(batch.inputs[:1], view=packed(batch.documents[:1], causal=False)))
        for place in range(min(40, batch.inputs.shape[1])):
            truth, shown = int(batch.targets[0, place]), int(batch.inputs[0, place])
            guess = tokenizer.decode([int(logits[0, place].argmax())])
            words.append(tokenizer.decode([shown]) if truth == IGNORE else f"[{tokenizer.decode([truth])}→{guess}]")
        return "".join(words)


def predict(model: GPT, batch: MaskedBatch) -> tuple[Tensor, Tensor]:
    """Logits [to predict, vocabulary], fp32, and the true tokens."""
    wanted = batch.targets != IGNORE
    hidden = model.hidden(batch.inputs, view=packed(batch.documents, causal=False))
    return model.logits(hidden[wanted]).float(), batch.targets[wanted]


def mlm(job: Job) -> bool:
    """Train on the run's documents; `run/mlm` then has the checkpoint and the model's folder. True when it is done."""
    recipe = job.recipe.mlm
    start = begin(job.recipe, job.run, "mlm")
    check_shards(job.run, start.vocabulary)
    rows, valid = document_rows(job.recipe, job.run, recipe)
    announce(job, "mlm", start.parent, {})
    task = MLM(recipe, start, rows, valid, job.device)
    check_steps("mlm", task.steps)
    tell_if_unmeasured("mlm", valid)
    stage = Stage(
        "mlm", task.model, task, task.loss, recipe, job.folder("mlm"), task.validate if valid else None, task.sample,
        job.device, job.max_minutes, identity=identity_of_start(job, start, []),
    )  # fmt: skip
    if not train(stage):
        return False
    write_result(job, "mlm", start, task.model, task.validate(task.model.eval()), [])
    return True
