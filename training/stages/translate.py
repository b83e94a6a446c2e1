"""The stage `translate`: the original encoder-decoder on sentence pairs (Vaswani et al. 2017), with teacher forcing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from engine.decoder.encoder_decoder import Transformer, TransformerConfig, init_transformer
from engine.run.rows import pad
from engine.run.translator import BEGIN, END, Translator, save_translator
from engine.text.tokenizer import Tokenizer
from training.data.batches import IGNORE
from training.data.grouping import Groups, in_order
from training.data.sentences import SentencePairs, Sentences, learn_vocabulary, read_sentences
from training.loop.checkpoint import load_weights
from training.loop.distributed import world
from training.loop.stage import LossSum, Stage, move
from training.loop.train import train
from training.recipe import TranslateRecipe
from training.stages.job import Job, announce, check_steps, require
from training.stages.results import hash_files, table, training_record
from training.stages.start import checkpoint


@dataclass(frozen=True)
class SentenceBatch:
    source: Tensor  # int64 [pairs, S], padded behind
    lengths: Tensor  # int64 [pairs]
    inputs: Tensor  # int64 [pairs, T]: the beginning's token and the target sentence
    targets: Tensor  # int64 [pairs, T]: the target sentence and its end, IGNORE behind it

    @property
    def tokens(self) -> int:
        """Of both languages, padding left out."""
        return int(self.lengths.sum() + (self.targets != IGNORE).sum())


class Translate:
    """The loss is averaged over target tokens, the ends included."""

    def __init__(
        self, recipe: TranslateRecipe, pairs: SentencePairs, tokenizer: Tokenizer, device: torch.device,
    ) -> None:  # fmt: skip
        self.recipe, self.pairs, self.tokenizer, self.device = recipe, pairs, tokenizer, device
        self.begin, self.end = tokenizer.special(BEGIN), tokenizer.special(END)
        shape = TransformerConfig(
            tokenizer.vocab_size, recipe.context, recipe.d_model, recipe.n_head, recipe.n_layer, recipe.d_ff,
            recipe.dropout, recipe.norm,
        )  # fmt: skip
        self.model = Transformer(shape)
        init_transformer(self.model, torch.Generator().manual_seed(recipe.seed))
        self.model.to(device).train()
        self.train, self.valid = self._encode(pairs.train), self._encode(pairs.valid)
        self.groups = Groups([max(map(len, pair)) for pair in self.train], recipe.epochs, recipe)
        self.steps = self.groups.steps
        self.cut = sum(max(map(len, pair)) >= recipe.context for pair in (*self.train, *self.valid))

    def _encode(self, pairs: list[Sentences]) -> list[tuple[list[int], list[int]]]:
        """Ids of both sentences, each with its end; the longest are cut to the context."""
        longest = self.recipe.context - 1
        return [
            tuple([*self.tokenizer.encode(sentence)[: longest - 1], self.end] for sentence in pair)  # type: ignore[misc]
            for pair in pairs
        ]

    def step(self, step: int) -> list[SentenceBatch]:
        return [self._batch([self.train[i] for i in group]) for group in self.groups.step(step)]

    def _batch(self, pairs: list[tuple[list[int], list[int]]]) -> SentenceBatch:
        """`pairs` as tensors."""
        source, lengths = pad([source for source, _ in pairs])
        targets, sizes = pad([target for _, target in pairs])
        inputs = torch.cat((torch.full((len(targets), 1), self.begin), targets[:, :-1]), dim=1)
        behind = torch.arange(targets.shape[1])[None, :] >= sizes[:, None]
        return SentenceBatch(source, lengths, inputs, targets.masked_fill(behind, IGNORE))

    def loss(self, model: Transformer, batch: SentenceBatch) -> LossSum:
        """Cross-entropy in nats against smoothed labels, and how many tokens count."""
        logits = model(batch.source, batch.lengths, batch.inputs)
        return LossSum(self._cross_entropy(logits, batch, self.recipe.smoothing), (batch.targets != IGNORE).sum())

    def _cross_entropy(self, logits: Tensor, batch: SentenceBatch, smoothing: float) -> Tensor:
        return F.cross_entropy(
            logits.float().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE, reduction="sum",
            label_smoothing=smoothing,
        )  # fmt: skip

    @torch.no_grad()
    def validate(self, model: Transformer) -> dict[str, float]:
        """Cross-entropy in nats a target token of the held-out pairs, without smoothing."""
        loss, count = 0.0, 0
        for group in in_order([max(map(len, pair)) for pair in self.valid], self.recipe.micro_tokens):
            batch = move(self._batch([self.valid[i] for i in group]), self.device)
            logits = model(batch.source, batch.lengths, batch.inputs)
            loss += self._cross_entropy(logits, batch, 0.0).item()
            count += int((batch.targets != IGNORE).sum())
        return {"loss": loss / count} if count else {}

    def translator(self, model: Transformer) -> Translator:
        """`model` ready for sentences; it is set to use."""
        return Translator(model, self.tokenizer, self.recipe.source_language, self.recipe.target_language)

    def sample(self, model: Transformer) -> str:
        """A held-out sentence (or one of the training's) and its translation, greedily."""
        source, _ = (self.pairs.valid or self.pairs.train)[0]
        return f"{source} → {self.translator(model).translate([source], beam=1)[0]}"

    def measure(self, model: Transformer) -> dict[str, Any]:
        """BLEU and chrF (sacrebleu) of up to `measured` held-out translations by beam search; a few are shown."""
        pairs = spread(self.pairs.valid, self.recipe.measured)
        if not pairs:
            return {}
        found = self.translator(model).translate([source for source, _ in pairs], self.recipe.beam)
        shown = [
            {"source": s, "reference": r, "translation": t} for (s, r), t in list(zip(pairs, found, strict=True))[:10]
        ]
        return {"sentences": len(pairs), **scores(found, self._references(pairs)), "shown": shown}

    def _references(self, pairs: list[Sentences]) -> list[list[str]]:
        """Every right translation that the held-out pairs have of each source."""
        known: dict[str, list[str]] = {}
        for source, target in self.pairs.valid:
            known.setdefault(source, []).append(target)
        return [known[source] for source, _ in pairs]


def spread(pairs: list[Sentences], count: int) -> list[Sentences]:
    """Up to `count` pairs with different sources, evenly out of all."""
    first = list({source: (source, target) for source, target in pairs}.values())
    return [first[i] for i in np.linspace(0, len(first) - 1, min(count, len(first))).astype(int)] if first else []


def scores(found: list[str], references: list[list[str]]) -> dict[str, Any]:
    """{"bleu", "chrf"} of translations against one or more references each, with sacrebleu's signatures; empty without
    the library, which is in the extra `eval`."""
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError:
        return {"note": "sacrebleu is not installed (pip install 'homespun[eval]'), so nothing was measured"}
    most = max(map(len, references))
    streams: list[Any] = [[ref[i] if i < len(ref) else None for ref in references] for i in range(most)]
    result: dict[str, Any] = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        result[name] = round(metric.corpus_score(found, streams).score, 2)
        result[f"{name}_signature"] = str(metric.get_signature())
    return result


def translate(job: Job) -> bool:
    """Train on the recipe's pairs, measure, and write `run/translate/model`; True when it is done."""
    recipe, folder = job.recipe.translate, job.folder("translate")
    require("translate", recipe.files)
    pairs = read_sentences(recipe, job.data)
    if world().first:
        learn_vocabulary(pairs.train, recipe.vocab_size, folder)
    world().wait()
    tokenizer = learn_vocabulary(pairs.train, recipe.vocab_size, folder)
    task = Translate(recipe, pairs, tokenizer, job.device)
    announce(job, "translate", "random weights", {**pairs.report, "cut": task.cut})
    check_steps("translate", task.steps)
    stage = Stage(
        "translate", task.model, task, task.loss, recipe, folder, task.validate if pairs.valid else None, task.sample,
        job.device, job.max_minutes, layers=[*task.model.encoder, *task.model.decoder],
        identity={"examples": hash_files(job.data, [recipe.files])},
    )  # fmt: skip
    if not train(stage):
        return False
    load_weights(checkpoint(job.run, "translate"), task.model)
    metrics = {**pairs.report, **task.validate(task.model.eval()), **task.measure(task.model)}
    hashes = hash_files(job.data, [recipe.files])
    training = {**training_record(job.recipe, "translate", "random weights", metrics), "data_hashes": hashes}
    languages = f"{recipe.source_language} → {recipe.target_language}"
    card = f"# {job.recipe.export.name}\n\nTranslates {languages}.\n\n{table(metrics)}\n"
    files = {"tokenizer.json": (folder / "tokenizer.json").read_text(encoding="utf-8")}
    save_translator(folder / "model", task.translator(task.model), files, training=training, card=card)
    numbers = ", ".join(f"{name} {metrics[name]}" for name in ("bleu", "chrf", "note") if name in metrics)
    tqdm.write(f"{folder / 'model'}: {languages}" + (f", {numbers}" if numbers else ""))
    return True
