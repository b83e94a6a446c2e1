"""Held-out bits per byte after equal minutes on equal cores: our model and step against transformers' GPT-2 with AdamW.

    python -m tests.benchmarks.equal_minutes RUN MINUTES

RUN is a run folder whose `prepare` and `tokenizer` stages are done. Both sides train at the same time, a core each, on
the same rows of the same tokens in the same order, each with its learning rate falling to nothing as its minutes run
out. A minute is one of a process's own processor time, its compiler's included: on cores of its own that is wall time,
and on a busy machine neither side gains. Not a part of `make bench`: it takes as long as it says.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.run.device import fast_bf16
from engine.text.tokenizer_files import load_tokenizer
from training.data.batches import MicroBatch, PackedRows
from training.data.shards import open_shard
from training.loop.checkpoint import TrainState
from training.loop.distributed import World
from training.loop.losses import cross_entropy, token_loss
from training.loop.optimizer import make_optimizers
from training.loop.stage import Stage
from training.loop.step import train_step
from training.loop.train import forward_of
from training.recipe import TrainRecipe, load_recipe

SHAPE = GPTConfig(n_layer=8, n_head=6, n_kv_head=2, head_dim=64, d_model=384, d_ff=1024, context_length=1024)
COMPILED = fast_bf16("cpu")  # without bf16 a step is nearly all matrix products, and compiling does not come back
RECIPE = TrainRecipe(context=256, batch_tokens=4096, micro_tokens=4096, warmup_steps=20, seed=3)
PEER_LR, PEER_WARMUP = 1e-3, 20
SOURCES = Path(__file__).parents[2] / "training" / "recipes" / "homespun-v0.toml"
Logits = Callable[[Tensor], Tensor]


class Clocked:
    """Training rows whose `steps` is where the way will end, by the time that is left."""

    def __init__(self, rows: PackedRows, seconds: float) -> None:
        self._rows, self._seconds, self._began = rows, seconds, processor_seconds()

    @property
    def share(self) -> float:
        return (processor_seconds() - self._began) / self._seconds

    def step(self, step: int) -> list[MicroBatch]:
        self.steps = max(step + 1, round((step + 1) / max(self.share, 0.02)))
        return self._rows.step(step % self._rows.steps)


def processor_seconds() -> float:
    """Of this process and of those that it has waited for, such as compilers."""
    return sum(os.times()[:4])


def rows(run: Path, split: str) -> PackedRows:
    sources = [s for s in load_recipe(SOURCES).data.sources if s.epochs > 0]
    if split == "valid":
        sources = [replace(s, epochs=1.0, start=0.0, end=1.0) for s in sources]
    return PackedRows([open_shard(run, split, s.name) for s in sources], sources, replace(RECIPE, attention="row"))


def ours(run: Path, seconds: float) -> tuple[Logits, int]:
    model = GPT(replace(SHAPE, vocab_size=load_tokenizer(run).vocab_size))
    init_weights(model, torch.Generator().manual_seed(3))
    clocked = Clocked(rows(run, "train"), seconds)
    clocked.steps = 10_000
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage("pretrain", model, clocked, token_loss, RECIPE, Path(folder), same_shape=True)
        state = TrainState(model, make_optimizers(model, RECIPE))
        forward = forward_of(stage, World(), COMPILED)
        while clocked.share < 1:
            train_step(stage, state, forward)
    return lambda ids: model(ids), state.tokens


def theirs(run: Path, seconds: float) -> tuple[Logits, int]:
    from transformers import GPT2Config, GPT2LMHeadModel

    size = load_tokenizer(run).vocab_size
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=size, n_embd=384, n_layer=8, n_head=6, n_positions=1024)
    config.bos_token_id = config.eos_token_id = None
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEER_LR, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    clocked, step = Clocked(rows(run, "train"), seconds), 0
    while (share := clocked.share) < 1:
        rate = PEER_LR * min(1.0, (step + 1) / PEER_WARMUP) * 0.5 * (1 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = rate
        for batch in clocked.step(step):
            with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16("cpu")):
                logits = model(input_ids=batch.inputs).logits
            (cross_entropy(logits, batch.targets) / batch.targets.numel()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
    return lambda ids: model(input_ids=ids).logits, step * RECIPE.batch_tokens


@torch.no_grad()
def bits_per_byte(run: Path, logits_of: Logits) -> float:
    tokenizer = load_tokenizer(run)
    size_of = torch.tensor([len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocab_size)])
    held_out, nats, size = rows(run, "valid"), 0.0, 0
    for step in range(min(held_out.steps, 24)):
        for batch in held_out.step(step):
            sizes = size_of[batch.targets]
            targets = torch.where(sizes > 0, batch.targets, -100)
            with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16("cpu")):
                logits = logits_of(batch.inputs)
            nats += float(cross_entropy(logits, targets))
            size += int(sizes.sum())
    return nats / math.log(2) / size


def side(name: str, run: Path, minutes: float) -> None:
    torch.set_num_threads(1)
    logits_of, tokens = {"ours": ours, "theirs": theirs}[name](run, minutes * 60)
    print(json.dumps({"side": name, "minutes": minutes, "tokens": tokens, "bits": bits_per_byte(run, logits_of)}))


def main() -> int:
    run, minutes = Path(sys.argv[1]), float(sys.argv[2])
    if len(sys.argv) > 3:
        side(sys.argv[3], run, minutes)
        return 0
    command = [sys.executable, "-m", "tests.benchmarks.equal_minutes", str(run), str(minutes)]
    env = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}  # in the process itself, so that its time is counted
    both = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=env) for name in ("ours", "theirs")
    ]
    mine, peer = (json.loads(process.communicate()[0].splitlines()[-1]) for process in both)
    print(f"after {minutes:g} minutes of one core each, bits per byte held out")
    print(f"  homespun                 {mine['bits']:.4f}   ({mine['tokens']:,} tokens)")
    print(f"  transformers GPT-2       {peer['bits']:.4f}   ({peer['tokens']:,} tokens)")
    print(f"  ours is {1 - mine['bits'] / peer['bits']:.1%} lower")
    return 0


if __name__ == "__main__":
    sys.exit(main())
