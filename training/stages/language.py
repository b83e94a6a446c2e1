"""The stages `pretrain` and `sft`: what each gives to the one loop. Both resume from their own last checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from engine.chat_template import END_OF_TEXT, ChatTemplate
from engine.config import GPTConfig
from engine.model import GPT, init_weights
from engine.tokenizer import Tokenizer
from training.data.batches import Conversations, MicroBatch, PackedRows, Rows, make_rows
from training.data.shards import open_shard
from training.loop.checkpoint import load_weights
from training.loop.losses import bits_per_byte, token_loss
from training.loop.train import Stage, train
from training.recipe import Recipe, RecipeError, Source, TrainRecipe

SAMPLE_PROMPT = "Hello! Who are you?"


def make_model(recipe: Recipe, tokenizer: Tokenizer) -> GPT:
    """A fresh decoder of the recipe's shape, initialised from its pretraining seed."""
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **asdict(recipe.model)))
    init_weights(model, torch.Generator().manual_seed(recipe.pretrain.seed))
    return model


def pretrain(recipe: Recipe, run: Path, device: torch.device, max_minutes: float) -> bool:
    """Next-token training over the packed stream; True when it is done."""
    tokenizer = Tokenizer.load(run)
    model = make_model(recipe, tokenizer).to(device)
    sources = [s for s in recipe.data.sources if s.epochs > 0]
    batches = make_rows([open_shard(run, "train", s.name) for s in sources], sources, recipe.pretrain)
    once = [Source(s.name, s.path, s.licence) for s in sources]
    held_out = PackedRows([open_shard(run, "valid", s.name) for s in sources], once, recipe.pretrain)
    valid = first_batches(held_out, recipe.pretrain)
    return train(_stage("pretrain", model, batches, valid, recipe.pretrain, run, tokenizer, device, max_minutes))


def sft(recipe: Recipe, run: Path, device: torch.device, max_minutes: float) -> bool:
    """Instruction tuning of the pretrained weights, the loss on the assistant's words; True when it is done."""
    tokenizer = Tokenizer.load(run)
    model = make_model(recipe, tokenizer)
    base = run / "pretrain" / "checkpoint.pt"
    if not base.exists():
        raise RecipeError(f"There is nothing to tune: {base} is missing. Run the pretrain stage first.")
    load_weights(base, model)
    sources = [s for s in recipe.data.sources if s.sft_epochs > 0]
    pad = tokenizer.special(END_OF_TEXT)
    batches = Conversations([open_shard(run, "train", s.name) for s in sources], sources, recipe.sft, pad)
    once = [Source(s.name, s.path, s.licence, sft_epochs=1) for s in sources]
    held_out = Conversations([open_shard(run, "valid", s.name) for s in sources], once, recipe.sft, pad)
    valid = first_batches(held_out, recipe.sft)
    stage = _stage("sft", model.to(device), batches, valid, recipe.sft, run, tokenizer, device, max_minutes)
    return train(stage)


def first_batches(held_out: Rows | Conversations, recipe: TrainRecipe) -> list[MicroBatch]:
    """Held-out micro-batches, up to the recipe's number of tokens."""
    batches: list[MicroBatch] = []
    for step in range(held_out.steps):
        batches += held_out.step(step)
        if sum(b.inputs.numel() for b in batches) >= recipe.valid_tokens:
            break
    return batches


def _stage(
    name: str,
    model: GPT,
    batches: Rows | Conversations,
    valid: list[MicroBatch],
    recipe: TrainRecipe,
    run: Path,
    tokenizer: Tokenizer,
    device: torch.device,
    max_minutes: float,
) -> Stage:
    if batches.steps == 0:
        raise RecipeError(f"The {name} stage has too little data for one step; add data or lower batch_tokens.")
    template = ChatTemplate(tokenizer)
    token_bytes = torch.tensor([len(tokenizer.token_bytes(t)) for t in range(tokenizer.vocab_size)])
    end = {tokenizer.special(t) for t in tokenizer.special_tokens}

    @torch.no_grad()
    def sample(model: GPT) -> str:
        """Forty greedy tokens, without a cache: now and then is not worth one."""
        tokens = template.encode([{"role": "user", "content": SAMPLE_PROMPT}], answer=True)
        said: list[int] = []
        while len(said) < 40 and not (said and said[-1] in end):
            said.append(int(model(torch.tensor([tokens + said], device=device))[0, -1].argmax()))
        return tokenizer.decode(said)

    def validate(model: GPT) -> dict[str, float]:
        return {"bits_per_byte": bits_per_byte(model, valid, token_bytes, device)}

    return Stage(
        name,
        model,
        batches,
        token_loss,
        recipe,
        run / name,
        validate if valid else None,
        sample,
        device,
        max_minutes,
        same_shape=isinstance(batches, Rows),
    )
