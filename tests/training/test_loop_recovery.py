"""The loop when things go wrong: no number, a spike, memory, disk, a kill, another process, another recipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.training.loop_setup import Random, events, losses, make_stage, poisoned_loss
from training.errors import TrainingError
from training.loop import checkpoint, recovery
from training.loop.lock import only_one
from training.loop.train import train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1000.0])
def test_a_bad_batch_is_left_out_and_nothing_else_changes(tmp_path: Path, factor: float) -> None:
    """Going back and around it gives the very weights of a run that never saw it."""
    bad = 24 if factor == 1000.0 else 5  # a spike is one only among usual losses
    batches = Random(steps=28, poison={bad: factor})
    assert train(make_stage(tmp_path / "a", batches, checkpoint_minutes=1e9))
    (recovered,) = events(tmp_path / "a", "recovery")
    assert (recovered["what"], recovered["step"], recovered["to"]) == ("rolled back", bad, 0)
    assert ("jumped" if factor == 1000.0 else "not a number") in recovered["text"]
    assert [e["step"] for e in events(tmp_path / "a", "skipped")] == [bad]
    assert bad + 1 not in losses(tmp_path / "a")
    clean = make_stage(tmp_path / "b", Random(steps=28))
    from training.loop.stopping import Stop
    from training.loop.train import Run

    run = Run(clean)
    run.state.skip = [bad]
    assert run.go(Stop(60.0))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    ours, theirs = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_it_gives_up_where_every_batch_is_bad(tmp_path: Path) -> None:
    batches = Random(poison=dict.fromkeys(range(3, 12), float("nan")))
    with pytest.raises(TrainingError, match="does not get past step 8: the loss is not a number"):
        train(make_stage(tmp_path, batches, checkpoint_minutes=1e9))


def test_a_spike_by_hand() -> None:
    """Median 3, deviations' median 0.1: the spread is 0.148, below a tenth of the median; 10 of 0.3 above 3 is 6."""
    recent = [2.9, 3.0, 3.1] * 8
    recovery.check(5.99, 1.0, recent, 10.0)
    with pytest.raises(recovery.Diverged, match=r"jumped from 3\.000 to 6\.010"):
        recovery.check(6.01, 1.0, recent, 10.0)
    recovery.check(6.01, 1.0, recent[:19], 10.0)  # too early to say
    recovery.check(600.0, 1.0, recent, 0.0)  # not asked for
    with pytest.raises(recovery.Diverged, match="gradient is not a number"):
        recovery.check(3.0, float("inf"), recent, 10.0)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory: 9 bytes")], ids=str
)
def test_memory_that_runs_out_halves_the_micro_batch(tmp_path: Path, error: Exception) -> None:
    sizes = []

    def loss(model, batch):  # type: ignore[no-untyped-def]
        sizes.append(len(batch.inputs))
        if len(batch.inputs) > 2:
            raise error
        return poisoned_loss(model, batch)

    assert train(make_stage(tmp_path / "a", loss=loss))
    (recovered,) = events(tmp_path / "a", "recovery")
    assert recovered["what"] == "halved the micro-batch"
    assert sizes == [4, *[2] * 4 * 12], "the accumulation is doubled, and stays so"
    assert train(make_stage(tmp_path / "b"))
    # Sums are made in another order, and Muon multiplies in bf16.
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), rel=1e-3)


def test_memory_that_never_suffices_is_a_sentence(tmp_path: Path) -> None:
    def loss(model, batch):  # type: ignore[no-untyped-def]
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(TrainingError, match=r"single row at a time .* recompute = true"):
        train(make_stage(tmp_path, loss=loss))
    assert len(events(tmp_path, "recovery")) == 2


def test_other_errors_are_not_taken_for_memory(tmp_path: Path) -> None:
    def loss(model, batch):  # type: ignore[no-untyped-def]
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        train(make_stage(tmp_path, loss=loss))


def test_a_disk_too_full_to_begin_is_found_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "free_bytes", lambda folder: 1_000_000)
    with pytest.raises(TrainingError, match=r"A checkpoint needs .* MB in .* and only 1 MB are free"):
        train(make_stage(tmp_path))
    assert not losses(tmp_path)


def test_a_disk_full_midway_is_said_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage(tmp_path)
    monkeypatch.setattr(checkpoint, "free_bytes", lambda folder: 0 if 4 <= len(losses(tmp_path)) < 8 else 10**12)
    assert train(stage)
    assert [e["step"] for e in events(tmp_path, "recovery")] == [4, 5, 6, 7]
    assert [e["step"] for e in events(tmp_path, "checkpoint")] == [0, 1, 2, 3, 8, 9, 10, 11, 12, 12]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(make_stage(tmp_path))
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(data, file):  # type: ignore[no-untyped-def]
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(checkpoint.DiskFull, match="Make room"):
        checkpoint.write_whole({}, tmp_path / "checkpoint.pt")
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    assert train(make_stage(tmp_path))
    assert train(make_stage(tmp_path, valid_every=7, compile="no", recompute=True)), "these may change"
    with pytest.raises(TrainingError, match=r"of another recipe: adam_lr was 0\.004 and is 0\.1 now.*--fresh"):
        train(make_stage(tmp_path, adam_lr=0.1))
    with pytest.raises(TrainingError, match="steps was 12 and is 13 now"):
        train(make_stage(tmp_path, Random(steps=13)))


def test_a_run_folder_in_use_is_a_sentence(tmp_path: Path) -> None:
    """The other one is a real process; when it is killed, the folder is free again."""
    code = (
        "import sys, time; from pathlib import Path; from training.loop.lock import only_one\n"
        f"with only_one(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    with pytest.raises(TrainingError, match=rf"in use by another process \(pid {other.pid}\)"), only_one(tmp_path):
        pass
    other.kill()
    other.wait(30)
    with only_one(tmp_path):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / "pid").exists()


CHILD = """
import sys, time, torch
from pathlib import Path
from tests.training.loop_setup import Random, make_stage, poisoned_loss
from training.loop.train import train
torch.set_num_threads(1)
def loss(model, batch):
    time.sleep(float(sys.argv[2]))
    return poisoned_loss(model, batch)
sys.exit(0 if train(make_stage(Path(sys.argv[1]), Random(steps=30), loss, ema=0.9, schedule="cosine")) else 3)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
def test_a_killed_child_goes_on_bit_for_bit(tmp_path: Path, how: signal.Signals) -> None:
    def command(folder: str, pause: str) -> list[str]:
        return [sys.executable, "-c", CHILD, str(tmp_path / folder), pause]

    child = subprocess.Popen(command("cut", "0.02"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(losses(tmp_path / "cut")) < 8 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(how)
    assert child.wait(30) == (-how if how == signal.SIGKILL else 3)
    assert 8 <= len(losses(tmp_path / "cut")) < 30
    if how == signal.SIGTERM:
        assert [e["reason"] for e in events(tmp_path / "cut", "stopped")] == ["SIGTERM"]
    for folder in ("cut", "whole"):
        subprocess.run(command(folder, "0"), check=True, capture_output=True)
    assert events(tmp_path / "cut", "start")[1]["step"] > 0
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole"), "to the last bit"
    ours, theirs = (torch.load(tmp_path / f / "checkpoint.pt", weights_only=True) for f in ("cut", "whole"))
    for kind in ("model", "average"):
        assert all(torch.equal(ours[kind][name], theirs[kind][name]) for name in theirs[kind])
