"""Two processes with gloo on the CPU: the same losses as one, whole copies or parts, and checkpoints for any number."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from tests.training.conftest import command
from tests.training.loop_setup import Random, events, losses, make_stage
from training import __main__ as command_line
from training.loop.distributed import leave
from training.loop.train import train

CHILD = """
import sys, torch
from pathlib import Path
from tests.training.loop_setup import Random, make_stage
from training.loop import distributed
from training.loop.stage import cut
from training.loop.train import train
torch.set_num_threads(1)
folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
rank, size = distributed.world().rank, distributed.world().size
class Share:
    steps = 8
    def step(self, n):
        return [cut(batch, size)[rank] for batch in Random().step(n)]
for shard in ("none", "full"):
    stage = make_stage(folder / shard, Random(steps=8), shard=shard, ema=0.9, valid_every=4)
    stage.validate = lambda model: {"norm": float(model.logits(model.hidden(torch.arange(8)[None])).norm())}
    if shard == "full":
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


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("child") / "child.py"
    path.write_text(CHILD)
    return path


@pytest.fixture(scope="module")
def stopped(child: Path) -> Path:
    """What two processes left that were stopped after a step: folders "none" (whole copies) and "full" (parts)."""
    launch(str(child), str(child.parent / "stopped"), "0")
    return child.parent / "stopped"


@pytest.fixture(scope="module")
def ended(child: Path, stopped: Path) -> Path:
    """The same, gone on with to the end."""
    shutil.copytree(stopped, child.parent / "ended")
    launch(str(child), str(child.parent / "ended"), "60")
    return child.parent / "ended"


@pytest.mark.slow
@pytest.mark.parametrize("shard", ["none", "full"], ids=["DDP", "FSDP2"])
def test_two_processes_have_the_losses_of_one(stopped: Path, ended: Path, tmp_path: Path, shard: str) -> None:
    """Equal to 1e-3 of the loss: sums are made in another order, and Muon (with AMX, all) multiplies in bf16."""
    assert (stopped / shard / "checkpoint" / ".metadata").exists()
    assert [e["reason"] for e in events(stopped / shard, "stopped")] == ["time is up"]
    one = make_stage(tmp_path, Random(steps=8), ema=0.9, valid_every=4)
    one.validate = lambda model: {"norm": float(model.logits(model.hidden(torch.arange(8)[None])).norm())}
    assert train(one)
    assert len(losses(ended / shard)) == 8
    assert losses(ended / shard) == pytest.approx(losses(tmp_path), rel=1e-3)
    ours, theirs = (torch.load(f / "checkpoint.pt", weights_only=True) for f in (ended / shard, tmp_path))
    for kind in ("model", "average"):
        for name in theirs[kind]:
            assert (ours[kind][name] - theirs[kind][name]).abs().mean() < 3e-3, name
    valid = [[e["norm"] for e in events(folder, "valid")] for folder in (ended / shard, tmp_path)]
    assert valid[0] == pytest.approx(valid[1], rel=1e-2)


@pytest.mark.slow
def test_one_process_goes_on_from_the_checkpoint_of_two(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped / "full", tmp_path / "two")
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


@pytest.mark.parametrize("done", [True, False])
def test_a_command_leaves_the_others_at_its_end(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Stopped or done. Without that one of five ended by an abort, after all was done."""
    at_the_end: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(command_line, "run_stage", lambda *_: done)
    monkeypatch.setattr("atexit.register", at_the_end.append)
    words = command(corpus, "pretrain", tmp_path / "run")[3:]
    result = CliRunner().invoke(command_line.main, words)
    assert result.exit_code == (0 if done else 3), result.output
    assert leave in at_the_end
