"""The stages `pretrain` and `sft`: next-token training over documents, and on the assistant's words in chats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from engine.decoder.model import GPT
from training.data.batches import Conversations, MicroBatch, PackedRows, Rows, make_rows
from training.data.packing import PackedConversations
from training.data.shards import Shard, open_shard
from training.data.vocabulary import Vocabulary, check_shards
from training.loop.distributed import ALONE, World, world
from training.loop.losses import bits_per_byte, token_loss
from training.loop.train import Stage, train
from training.recipe import Recipe, RecipeError, SFTRecipe, Source, TrainRecipe
from training.stages.job import Job, announce, check_steps
from training.stages.results import identity_of_start, write_result
from training.stages.start import Start, begin

Table = TypeVar("Table", TrainRecipe, SFTRecipe)
SAMPLE_PROMPT = "Hello! Who are you?"


def pretrain(job: Job) -> bool:
    """Next-token training over the packed stream; True when it is done."""
    start = begin(job.recipe, job.run, "pretrain")
    check_shards(job.run, start.vocabulary)
    batches, valid = document_rows(job.recipe, job.run, job.recipe.pretrain, world())
    announce(job, "pretrain", start.parent, {})
    return _train(job, "pretrain", start, batches, valid, job.recipe.pretrain)


def sft(job: Job) -> bool:
    """Instruction tuning, the loss on the assistant's words; True when it is done."""
    recipe = job.recipe.sft
    start = begin(job.recipe, job.run, "sft")
    check_shards(job.run, start.vocabulary)
    sources = [s for s in job.recipe.data.sources if s.sft_epochs > 0]
    if not sources:
        raise RecipeError("No source in [data] has sft_epochs above 0, so there is no chat to learn from.")
    once = [Source(s.name, s.path, s.licence, sft_epochs=1) for s in sources]
    batches = conversations(_shards(job.run, "train", sources), sources, recipe, start.vocabulary.end, world())
    held_out = conversations(_shards(job.run, "valid", sources), once, one_by_one(recipe), start.vocabulary.end)
    report = {}
    if isinstance(batches, PackedConversations):
        report = {"rows": batches.count, "longer_than_context": batches.cut}
    announce(job, "sft", start.parent, report)
    return _train(job, "sft", start, batches, first_batches(held_out, recipe), recipe)


def document_rows(recipe: Recipe, run: Path, table: TrainRecipe, place: World = ALONE) -> tuple[Rows, list[MicroBatch]]:
    """(what a stage reads of the run's documents, or `place`'s share of it; the held-out micro-batches)."""
    sources = [s for s in recipe.data.sources if s.epochs > 0]
    once = [Source(s.name, s.path, s.licence) for s in sources]
    rows = make_rows(_shards(run, "train", sources), sources, table, place.rank, place.size)
    shards, small = _shards(run, "valid", sources), one_by_one(table)
    held_out = PackedRows(shards, once, small)
    if not held_out.steps:  # less than a micro-batch: row by row
        held_out = PackedRows(shards, once, replace(small, batch_tokens=table.context, micro_tokens=table.context))
    return rows, first_batches(held_out, table)


def one_by_one(table: Table) -> Table:
    """`table` with steps of one micro-batch, for held-out documents, of which none should be left over."""
    return replace(table, batch_tokens=table.micro_tokens, ramp_from=0)


def conversations(
    shards: list[Shard], sources: list[Source], recipe: SFTRecipe, pad: int, place: World = ALONE
) -> Conversations | PackedConversations:
    """Chats in rows, as the recipe's `packing` says."""
    kind = PackedConversations if recipe.packing == "packed" else Conversations
    return kind(shards, sources, recipe, pad, place.rank, place.size)


def _shards(run: Path, split: str, sources: list[Source]) -> list[Shard]:
    return [open_shard(run, split, source.name) for source in sources]


def first_batches(held_out: Rows | Conversations | PackedConversations, recipe: TrainRecipe) -> list[MicroBatch]:
    """Held-out micro-batches, up to the recipe's number of tokens."""
    batches: list[MicroBatch] = []
    for step in range(held_out.steps):
        batches += held_out.step(step)
        if sum(b.inputs.numel() for b in batches) >= recipe.valid_tokens:
            break
    return batches


def tell_if_unmeasured(stage: str, held_out: list[MicroBatch]) -> None:
    """Say so where nothing, or not even one row, is held out."""
    if not held_out and world().first:
        tqdm.write(f"{stage}: too little is held out to be measured; raise valid_percent in [data] if it is to be")


def chat_sampler(vocabulary: Vocabulary, device: torch.device) -> Callable[[GPT], str]:
    """model → its reply to `SAMPLE_PROMPT`: forty greedy tokens, without a cache, as now and then is not worth one."""
    tokenizer = vocabulary.tokenizer
    prompt = vocabulary.template.encode([{"role": "user", "content": SAMPLE_PROMPT}], answer=True)
    end = {vocabulary.end, *tokenizer.special_tokens.values()}

    @torch.no_grad()
    def sample(model: GPT) -> str:
        said: list[int] = []
        while len(said) < 40 and not (said and said[-1] in end):
            said.append(int(model.logits(model.hidden(torch.tensor([prompt + said], device=device))[0, -1]).argmax()))
        return tokenizer.decode(said)

    return sample


def _train(
    job: Job,
    name: str,
    start: Start,
    batches: Rows | Conversations | PackedConversations,
    valid: list[MicroBatch],
    recipe: TrainRecipe,
) -> bool:
    check_steps(name, batches.steps)
    tell_if_unmeasured(name, valid)
    tokenizer, model = start.vocabulary.tokenizer, start.model.to(job.device).train()
    token_bytes = torch.tensor([len(tokenizer.token_bytes(t)) for t in range(model.config.vocab_size)])

    def validate(model: GPT) -> dict[str, float]:
        return {"bits_per_byte": bits_per_byte(model, valid, token_bytes, job.device)}

    sample = chat_sampler(start.vocabulary, job.device)
    stage = Stage(
        name, model, batches, token_loss, recipe, job.folder(name), validate if valid else None, sample, job.device,
        job.max_minutes, same_shape=not isinstance(batches, Conversations), shared=True,
        identity=identity_of_start(job, start, []),
    )  # fmt: skip
    if not train(stage):
        return False
    if world().size > 1 and recipe.shard == "full":
        tqdm.write(
            f"{name}: done; the model is in parts, so do `{name}` again in one process if it is to be written out"
        )
    elif start.lora is not None or job.recipe.base.model:
        write_result(job, name, start, model, validate(model.eval()) if valid else {}, [])
    tqdm.write(f"{name}: done")
    return True
