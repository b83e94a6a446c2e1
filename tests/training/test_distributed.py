"""Two processes with gloo on the CPU: the same losses as one, whole copies or parts, and checkpoints for any number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.conftest import command
from tests.training.loop_setup import Random, events, losses, make_stage
from training.loop.train import train

CHILD = """
import sys, torch
from dataclasses import replace
from pathlib import Path
from tests.training.loop_setup import Random, make_stage
from training.loop import distributed
from training.loop.train import train
torch.set_num_threads(1)
folder, shard, minutes = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
stage = make_stage(folder, Random(steps=8), shard=shard, ema=0.9, valid_every=4)
stage.validate = lambda model: {"norm": float(model.logits(model.hidden(torch.arange(8)[None])).norm())}
if shard == "full":
    rank, size = distributed.world().rank, distributed.world().size
    class Share:
        steps = 8
        def step(self, n):
            from training.loop.stage import cut
            return [cut(batch, size)[rank] for batch in Random().step(n)]
    stage.batches, stage.shared = Share(), True
stage.max_minutes = minutes
train(stage)
distributed.leave()
"""


def launch(*arguments: str, processes: int = 2) -> None:
    """The child under torchrun, as a person starts it."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*torchrun, *arguments], capture_output=True, text=True, timeout=150, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("shard", ["none", "full"], ids=["DDP", "FSDP2"])
def test_two_processes_have_the_losses_of_one(tmp_path: Path, shard: str) -> None:
    """Equal to 1e-3 of the loss: sums are made in another order, and Muon multiplies in bf16.

    The two are stopped after a step and go on from their common checkpoint; then one alone goes on from it.
    """
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    launch(str(child), str(tmp_path / "two"), shard, "0")
    assert (tmp_path / "two" / "checkpoint" / ".metadata").exists()
    assert [e["reason"] for e in events(tmp_path / "two", "stopped")] == ["time is up"]
    launch(str(child), str(tmp_path / "two"), shard, "60")
    one = make_stage(tmp_path / "one", Random(steps=8), ema=0.9, valid_every=4)
    one.validate = lambda model: {"norm": float(model.logits(model.hidden(torch.arange(8)[None])).norm())}
    assert train(one)
    assert len(losses(tmp_path / "two")) == 8
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    ours, theirs = (torch.load(tmp_path / f / "checkpoint.pt", weights_only=True) for f in ("two", "one"))
    for kind in ("model", "average"):
        for name in theirs[kind]:
            assert (ours[kind][name] - theirs[kind][name]).abs().mean() < 1e-3, name
    valid = [[e["norm"] for e in events(tmp_path / folder, "valid")] for folder in ("two", "one")]
    assert valid[0] == pytest.approx(valid[1], rel=1e-2)


@pytest.mark.slow
def test_one_process_goes_on_from_the_checkpoint_of_two(tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    launch(str(child), str(tmp_path / "two"), "full", "0")
    assert train(make_stage(tmp_path / "two", Random(steps=8), ema=0.9, valid_every=4))
    assert events(tmp_path / "two", "start")[-1]["step"] == 1
    assert not (tmp_path / "two" / "checkpoint").exists(), "one writes checkpoint.pt, and no older one stays"
    assert train(make_stage(tmp_path / "one", Random(steps=8), ema=0.9, valid_every=4))
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)


@pytest.mark.slow
def test_two_processes_do_a_recipe(corpus: Path, finished: Path, tmp_path: Path) -> None:
    """The command under torchrun, from tokens to a tuned model; the pretraining losses are those of one process."""
    run = tmp_path / "run"
    shutil.copytree(finished, run, ignore=shutil.ignore_patterns("shards", "pretrain", "sft", "model"))
    for stage in ("tokenizer", "pretrain", "sft"):
        words = command(corpus, stage, run)[1:]  # torchrun would take --run for a wish of its own
        launch(*("--run-folder" if word == "--run" else word for word in words))
    both = [
        {
            json.loads(line)["step"]: json.loads(line)["loss"]
            for line in (folder / "pretrain" / "events.jsonl").read_text().splitlines()
            if json.loads(line)["kind"] == "step"
        }
        for folder in (run, finished)
    ]
    assert both[0] == pytest.approx(both[1], rel=2e-2)
    assert torch.load(run / "sft" / "checkpoint.pt", weights_only=True)["step"] > 0
