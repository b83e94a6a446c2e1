"""The stage `classify`: a head that learns labels on top of a decoder, which learns along, in part or not at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from engine.decoder.lora import merge
from engine.decoder.model import GPT
from engine.run.classifier import Classifier, ClassifierConfig, fit_temperature, save_classifier
from engine.run.rows import pad
from training.data.grouping import Groups, in_order
from training.data.labels import Labelled, LabelledSet, read_labelled
from training.loop.checkpoint import load_weights
from training.loop.stage import LossSum, Stage, move
from training.loop.train import train
from training.recipe import ClassifyRecipe, RecipeError
from training.stages.job import Job, announce, check_steps, require
from training.stages.results import hash_files, identity_of_start, table, training_record, vocabulary_files
from training.stages.start import Start, begin, checkpoint

PROBE = 0.01  # what errors count beside a head's weights


@dataclass(frozen=True)
class LabelBatch:
    inputs: Tensor  # int64 [rows, length], padded behind
    lengths: Tensor  # int64 [rows]
    labels: Tensor  # int64 [rows]
    weights: Tensor  # fp32 [rows]: how much each counts

    @property
    def tokens(self) -> int:
        """Padding left out."""
        return int(self.lengths.sum())


class Classify:
    """Cross-entropy of the labels, averaged over the texts (by their weights)."""

    def __init__(
        self, recipe: ClassifyRecipe, start: Start, examples: LabelledSet, device: torch.device,
    ) -> None:  # fmt: skip
        self.recipe, self.start, self.examples, self.device = recipe, start, examples, device
        config = ClassifierConfig(examples.labels, recipe.pooling, recipe.causal, recipe.context, recipe.keep)
        self.model = Classifier(start.model, config)
        generator = torch.Generator().manual_seed(recipe.seed)
        self.model.score.weight.data.normal_(0, 0.02, generator=generator)
        if start.lora is None:
            choose_trained(self.model, recipe.train)
        self.model.to(device).train()
        lengths = [min(len(example.tokens), recipe.context) for example in examples.train]
        self.groups = Groups(lengths, recipe.epochs, recipe)
        self.steps = self.groups.steps
        count = np.bincount([e.label for e in examples.train], minlength=len(examples.labels))
        even = len(examples.train) / (len(count) * np.maximum(count, 1))
        self.weight = torch.tensor(even if recipe.balance == "weights" else np.ones(len(count)), dtype=torch.float32)
        if recipe.probe:
            pooled, labels, weights = self._pooled(self.model.eval())
            self.model.score.weight.data.copy_(probe(pooled, labels, weights, len(examples.labels)))
            self.model.train()

    def step(self, step: int) -> list[LabelBatch]:
        generator = torch.Generator().manual_seed(self.recipe.seed + step)
        batches = [self._batch([self.examples.train[i] for i in group]) for group in self.groups.step(step)]
        return [self._exchanged(batch, generator) for batch in batches]

    def _exchanged(self, batch: LabelBatch, generator: torch.Generator) -> LabelBatch:
        """`batch` with a share of each text's tokens exchanged for any others, so that none is known by a word or two
        (after Iyyer et al. 2015, who leave words out)."""
        if not self.recipe.word_dropout:
            return batch
        shape, most = batch.inputs.shape, self.model.body.config.vocab_size
        share = 2 * self.recipe.word_dropout * torch.rand((shape[0], 1), generator=generator)
        exchanged = torch.rand(shape, generator=generator) < share
        others = torch.randint(most, shape, generator=generator)
        return replace(batch, inputs=torch.where(exchanged, others, batch.inputs))

    def _batch(self, examples: list[Labelled]) -> LabelBatch:
        tokens, lengths = pad([self.model.config.shorten(e.tokens) for e in examples])
        labels = torch.tensor([e.label for e in examples])
        return LabelBatch(tokens, lengths, labels, self.weight[labels])

    def loss(self, model: Classifier, batch: LabelBatch) -> LossSum:
        """Cross-entropy in nats by the labels' weights, and what these add up to."""
        pooled = model.pooled(batch.inputs, batch.lengths)
        pooled = F.dropout(pooled, self.recipe.dropout, model.training)
        losses = F.cross_entropy(model.score(pooled).float(), batch.labels, reduction="none")
        return LossSum((losses * batch.weights).sum(), batch.weights.sum())

    @torch.no_grad()
    def _pooled(self, model: Classifier) -> tuple[Tensor, Tensor, Tensor]:
        """What the head reads of each text that is learned from [N, C], its label [N], and how much it counts [N]."""
        lengths = [min(len(e.tokens), self.recipe.context) for e in self.examples.train]
        batches = [
            move(self._batch([self.examples.train[i] for i in group]), self.device)
            for group in in_order(lengths, self.recipe.micro_tokens)
        ]
        pooled = torch.cat([model.pooled(batch.inputs, batch.lengths).float() for batch in batches])
        return pooled, torch.cat([b.labels for b in batches]), torch.cat([b.weights for b in batches])

    @torch.no_grad()
    def held_out_logits(self, model: Classifier) -> tuple[Tensor, Tensor]:
        """(logits [N, labels], labels [N]) of the held-out texts, on the CPU."""
        lengths = [min(len(e.tokens), self.recipe.context) for e in self.examples.valid]
        logits, labels = [torch.empty(0, len(self.examples.labels))], [torch.empty(0, dtype=torch.int64)]
        for group in in_order(lengths, self.recipe.micro_tokens):
            batch = move(self._batch([self.examples.valid[i] for i in group]), self.device)
            logits.append(model(batch.inputs, batch.lengths).float().cpu())
            labels.append(batch.labels.cpu())
        return torch.cat(logits), torch.cat(labels)

    def validate(self, model: Classifier) -> dict[str, float]:
        """Cross-entropy in nats, and the share of held-out texts with the right label: of all, and mean over labels."""
        logits, labels = self.held_out_logits(model)
        return measure(logits, labels) if len(labels) else {}

    def calibrated(self, model: Classifier) -> Classifier:
        """`model` with the temperature that fits the held-out texts best."""
        logits, labels = self.held_out_logits(model)
        if self.recipe.calibrate and len(labels):
            model.config = replace(model.config, temperature=fit_temperature(logits, labels))
        return model


def probe(pooled: Tensor, labels: Tensor, weights: Tensor, count: int) -> Tensor:
    """The head [count, C] that tells `labels` [N] best from `pooled` [N, C] as it is: logistic regression.

    A body that learns together with a head that knows nothing is led astray by it (Kumar et al. 2022). Dimensions are
    brought to one deviation, so that the penalty of `PROBE` means the same for every model. The head has no bias: it is
    put into the direction of the mean vector, along which all texts' vectors are alike.
    """
    mean, scale = pooled.mean(0), pooled.std(0) + 1e-6
    x = (pooled - mean) / scale
    weight = torch.zeros(count, x.shape[1], device=x.device, requires_grad=True)
    bias = torch.zeros(count, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        errors = F.cross_entropy(x @ weight.t() + bias, labels, reduction="none")
        value = PROBE * (errors * weights).sum() + weight.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    head = weight.detach() / scale
    return head + torch.outer(bias.detach() - head @ mean, mean / mean.square().sum())


def measure(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Cross-entropy, accuracy, and accuracy as the mean over the labels that occur."""
    right = (logits.argmax(-1) == labels).float()
    each = [right[labels == label].mean().item() for label in labels.unique()]
    loss = F.cross_entropy(logits, labels).item()
    return {"loss": loss, "accuracy": right.mean().item(), "balanced_accuracy": sum(each) / len(each)}


def keep_blocks(model: GPT, count: int) -> None:
    """Leave out all blocks of `model` but the first `count`; 0: none. What is left is a smaller decoder.

    Raises:
        RecipeError: it does not have so many.
    """
    if count > len(model.blocks):
        raise RecipeError(f"[classify] blocks is {count}, and the model has {len(model.blocks)}.")
    if count:
        model.blocks = model.blocks[:count]
        model.config = replace(model.config, n_layer=count, local_layers=model.config.local_layers[:count])


def choose_trained(model: Classifier, train: str) -> None:
    """Freeze all but what `train` says: everything, the last block and the last norm, or nothing but the head."""
    model.body.requires_grad_(train == "all")
    if train == "last_block":
        model.body.blocks[-1].requires_grad_(True)
        model.body.norm.requires_grad_(True)
    model.score.requires_grad_(True)
    if model.body.head is not None:
        model.body.head.requires_grad_(False)  # nothing goes through it


def classify(job: Job, *, go_on: bool = True) -> bool:
    """Train, calibrate and write `run/classify/model`, a classifier's folder; True when it is done.

    Args:
        go_on: False: make it of what the last checkpoint has learned, without training on.
    """
    recipe = job.recipe.classify
    require("classify", recipe.files)
    start = begin(job.recipe, job.run, "classify")
    keep_blocks(start.model, recipe.blocks)
    examples = read_labelled(recipe, job.data, start.vocabulary.tokenizer)
    announce(job, "classify", start.parent, examples.report)
    task = Classify(recipe, start, examples, job.device)
    check_steps("classify", task.steps)
    stage = Stage(
        "classify", task.model, task, task.loss, recipe, job.folder("classify"),
        task.validate if examples.valid else None, None, job.device, job.max_minutes,
        layers=list(start.model.blocks), identity=identity_of_start(job, start, [recipe.files, recipe.valid_files]),
    )  # fmt: skip
    if go_on and not train(stage):
        return False
    load_weights(checkpoint(job.run, "classify"), task.model)
    model = task.calibrated(task.model.eval())
    metrics = {**examples.report, "temperature": model.config.temperature, **task.validate(model)}
    merge(model.body)
    hashes = hash_files(job.data, [recipe.files, recipe.valid_files])
    training = {**training_record(job.recipe, "classify", start.parent, metrics), "data_hashes": hashes}
    card = f"# {job.recipe.export.name}\n\nTells {', '.join(examples.labels)} apart.\n\n{table(metrics)}\n"
    folder = job.folder("classify") / "model"
    save_classifier(folder, model, vocabulary_files(start.vocabulary), training=training, card=card)
    tqdm.write(f"{folder}: a classifier of {', '.join(examples.labels)}")
    return True
