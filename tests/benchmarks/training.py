"""Tokens/s of our training step against a plain transformers training step of the same shape and batch, in turn."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.files.architectures import to_hugging_face
from tests.benchmarks.timing import rounds, table
from training.data.batches import MicroBatch
from training.loop.checkpoint import TrainState
from training.loop.distributed import World
from training.loop.losses import token_loss
from training.loop.optimizer import make_optimizers
from training.loop.stage import Stage
from training.loop.step import train_step
from training.loop.train import forward_of
from training.recipe import TrainRecipe

SHAPE = GPTConfig()  # the bundled model's
RECIPE = TrainRecipe(context=512, batch_tokens=8192, micro_tokens=4096, compile="yes")
STEPS = 2  # a round


class Rows:
    """Random tokens: the arithmetic is the same for any."""

    steps = 10_000

    def __init__(self) -> None:
        shape = (RECIPE.batch_tokens // RECIPE.context, RECIPE.context + 1)
        self.rows = torch.randint(0, SHAPE.vocab_size, shape, generator=torch.Generator().manual_seed(0))

    def step(self, step: int) -> list[MicroBatch]:
        pieces = self.rows.split(RECIPE.micro_tokens // RECIPE.context)
        return [MicroBatch(p[:, :-1].contiguous(), p[:, 1:].contiguous()) for p in pieces]


def ours(folder: Path) -> tuple[Stage, TrainState]:
    model = GPT(SHAPE)
    init_weights(model)
    stage = Stage("pretrain", model, Rows(), token_loss, RECIPE, folder, same_shape=True)
    return stage, TrainState(model, make_optimizers(model, RECIPE))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage, state = ours(Path(folder))
        compute_loss = forward_of(stage, World(), compiled=True)

        def step_ours() -> float:
            began = time.perf_counter()
            for _ in range(STEPS):
                train_step(stage, state, compute_loss)
            return STEPS * RECIPE.batch_tokens / (time.perf_counter() - began)

        config = to_hugging_face(SHAPE, end_token=0, pad_token=0, dtype="float32")
        peer = Qwen3ForCausalLM(Qwen3Config(**{k: v for k, v in config.items() if k != "torch_dtype"}))
        optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-3)

        def step_theirs(autocast: bool) -> float:
            began = time.perf_counter()
            for index in range(STEPS):
                for batch in Rows().step(index):
                    rows = torch.cat((batch.inputs, batch.targets[:, -1:]), dim=1)
                    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                        peer(input_ids=rows, labels=rows).loss.backward()
                torch.nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
            return STEPS * RECIPE.batch_tokens / (time.perf_counter() - began)

        contenders = {
            "homespun (Muon + AdamW, bf16 autocast, compiled)": step_ours,
            "transformers, AdamW, fp32": lambda: step_theirs(False),
            "transformers, AdamW, bf16 autocast": lambda: step_theirs(True),
        }
        results = rounds(contenders, 5)
        table("training step", "tokens/s", results, ours=next(iter(contenders)), more_is_better=True)
