"""Tokens/s of our training step against transformers' own model and step: same shape, same tokens, each in turn.

Every contender is a process of its own, as a training run is, and takes its turn in every round. The peer is what
transformers' Trainer does: its GPT-2 without dropout, labels given to the model, fused AdamW, gradients clipped. On a
processor that emulates bf16 a bf16 step takes minutes, so there the peer's is measured once, on a single row.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.timing import Measured, table

CONTEXT, ROUNDS = 256, 3


@dataclass(frozen=True)
class Shape:
    """GPT-2's, of some size, and how many rows a step has."""

    name: str
    d_model: int
    n_layer: int
    n_head: int
    vocabulary: int
    rows: int


SHAPES = (Shape("17M", 384, 8, 6, 8192, 16), Shape("124M", 768, 12, 12, 50257, 4))
OURS = ("homespun, AdamW", "homespun, AdamW, not compiled", "homespun, Muon and AdamW")
THEIRS = ("transformers, fp32", "transformers, bf16")


def main() -> None:
    for shape in SHAPES:
        print(f"\nstarting {shape.name}: {shape.rows} rows of {CONTEXT} tokens a step", flush=True)
        workers = {name: Worker(shape, name) for name in (*OURS, *THEIRS)}
        values: dict[str, list[float]] = {name: [] for name in workers}
        for index in range(ROUNDS + 1):  # the first is thrown away
            for name, worker in workers.items():
                if worker.slow and index != 1:
                    continue
                value = worker.step()
                if index:
                    values[name].append(value)
        for worker in workers.values():
            worker.close()
        results = {name: Measured(found) for name, found in values.items()}
        table(f"training step, {shape.name}", "tokens/s", results, ours=OURS[0], more_is_better=True)


class Worker:
    """A process that does one step when it is told to, and says how fast it was."""

    def __init__(self, shape: Shape, name: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.training", shape.name, name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.slow: bool = self._answer()["slow"]

    def step(self) -> float:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer()["tokens_per_second"])

    def close(self) -> None:
        self._process.communicate()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


def serve(shape: Shape, name: str) -> None:
    """A worker's side."""
    if name in OURS:
        from training.loop.memory import large_pages

        large_pages()
    import torch

    torch.manual_seed(0)
    from engine.run.device import fast_bf16

    slow = name.endswith("bf16") and not fast_bf16("cpu")
    rows = torch.randint(0, shape.vocabulary, (1 if slow else shape.rows, CONTEXT + 1))
    step = (ours if name in OURS else theirs)(shape, name, rows)
    print(json.dumps({"slow": slow}), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        speed = len(rows) * CONTEXT / (time.perf_counter() - began)
        print(json.dumps({"tokens_per_second": speed}), flush=True)


def ours(shape: Shape, name: str, rows: Any) -> Callable[[], object]:
    from engine.decoder.config import GPTConfig
    from engine.decoder.model import GPT, init_weights
    from training.data.batches import MicroBatch
    from training.loop.checkpoint import TrainState
    from training.loop.distributed import World
    from training.loop.losses import token_loss
    from training.loop.optimizer import make_optimizers
    from training.loop.stage import Stage
    from training.loop.step import train_step
    from training.loop.train import forward_of, wants_compiler
    from training.recipe import TrainRecipe

    size = {
        "vocab_size": shape.vocabulary, "context_length": 1024, "n_layer": shape.n_layer, "n_head": shape.n_head,
        "head_dim": 64, "d_model": shape.d_model,
    }  # fmt: skip
    traits = {
        "n_kv_head": shape.n_head, "d_ff": 4 * shape.d_model, "norm": "layer", "mlp": "gelu", "position": "learned",
        "qk_norm": False, "attention_bias": True, "output_bias": True, "mlp_bias": True, "norm_eps": 1e-5,
    }  # fmt: skip
    model = GPT(GPTConfig(**size, **traits))  # type: ignore[arg-type]
    init_weights(model)

    class Batches:
        steps = 10_000  # of a run as long as one that compiling is for

        def step(self, step: int) -> list[MicroBatch]:
            return [MicroBatch(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())]

    tokens = shape.rows * CONTEXT
    recipe = TrainRecipe(
        context=CONTEXT, batch_tokens=tokens, micro_tokens=tokens, optimizer="muon" if "Muon" in name else "adamw"
    )
    folder = Path(tempfile.gettempdir())  # nothing is written there
    stage = Stage("pretrain", model, Batches(), token_loss, recipe, folder, same_shape=True)
    state = TrainState(model, make_optimizers(model, recipe))
    compiled = wants_compiler(stage, World()) and not name.endswith("not compiled")
    forward = forward_of(stage, World(), compiled=compiled)
    return lambda: train_step(stage, state, forward)


def theirs(shape: Shape, name: str, rows: Any) -> Callable[[], object]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=shape.vocabulary, n_embd=shape.d_model, n_layer=shape.n_layer, n_head=shape.n_head, n_positions=1024,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    config.bos_token_id = config.eos_token_id = None
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bf16")):
            loss = model(input_ids=rows[:, :-1], labels=rows[:, :-1]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    serve(next(shape for shape in SHAPES if shape.name == sys.argv[1]), sys.argv[2])
