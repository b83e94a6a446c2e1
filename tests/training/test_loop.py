"""The loop's parts against worked examples and torch's own: schedules, average, Muon, accumulation, events."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch

from engine.decoder.model import GPT, init_weights
from tests.training.loop_setup import SHAPE, Random, events, losses, make_stage, recipe
from training.data.batches import IGNORE
from training.errors import TrainingError
from training.loop.average import Average
from training.loop.checkpoint import load_weights
from training.loop.lean_loss import summed_cross_entropy
from training.loop.losses import cross_entropy
from training.loop.memory import large_pages
from training.loop.muon import Muon, orthogonal
from training.loop.optimizer import lr_scale
from training.loop.precision import autocast
from training.loop.stage import cut, move, rows, tokens
from training.loop.train import Run, train


def test_warmup_stable_decay_by_hand() -> None:
    """10 steps of warmup, then 1 until half of 100, then down to a tenth: at 75, half way from 1 to 0.1."""
    wsd = recipe(warmup_steps=10, decay_fraction=0.5, final_lr=0.1)
    values = [round(lr_scale(step, 100, wsd), 3) for step in (0, 4, 9, 30, 50, 75, 99)]
    assert values == [0.1, 0.5, 1.0, 1.0, 1.0, 0.55, 0.118]


def test_cosine_by_hand() -> None:
    """After 10 of 110 half a wave over the other 100: 1 at its start, half way down in its middle, 0.1 at its end."""
    cosine = recipe(warmup_steps=10, schedule="cosine", final_lr=0.1)
    assert lr_scale(4, 110, cosine) == 0.5
    assert lr_scale(10, 110, cosine) == 1.0
    assert lr_scale(60, 110, cosine) == pytest.approx(0.1 + 0.9 * 0.5)
    assert lr_scale(35, 110, cosine) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.sqrt(0.5)))
    assert lr_scale(110, 110, cosine) == pytest.approx(0.1)


def test_average_by_hand() -> None:
    """1, then 3, then 7 with a decay of 0.2: (1 + 1)/(10 + 1) is below 0.2, (1 + 2)/(10 + 2) is not."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    average = Average(model, 0.2)
    torch.nn.init.constant_(model.weight, 3.0)
    average.update(model, 1)
    first = 1 * 2 / 11 + 3 * 9 / 11
    torch.nn.init.constant_(model.weight, 7.0)
    average.update(model, 2)
    assert average.weights["weight"].item() == pytest.approx(0.2 * first + 0.8 * 7)
    with average.inside(model):
        assert model.weight.item() == pytest.approx(0.2 * first + 0.8 * 7)
    assert model.weight.item() == 7.0


def test_the_average_is_what_is_validated_and_delivered(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []
    stage = make_stage(tmp_path, ema=0.9, valid_every=1000)
    stage.validate = lambda model: seen.append(model.norm.weight.clone()) or {"x": 1.0}
    assert train(stage)
    delivered = GPT(SHAPE)
    load_weights(tmp_path / "checkpoint.pt", delivered)
    assert torch.equal(seen[-1], delivered.norm.weight)
    assert not torch.equal(seen[-1], stage.model.norm.weight)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
def test_muon_is_torchs() -> None:
    """Three steps over square, wide and tall matrices; theirs multiplies in bf16, so equal to its last digits."""
    shapes = [(24, 24), (24, 24), (16, 40), (40, 16)]
    numbers = torch.Generator().manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(s, generator=numbers)) for s in shapes]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    optimizers = Muon(ours, lr=0.02, weight_decay=0.1), torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1)
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape, generator=numbers)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_recomputing_gives_equal_gradients(tmp_path: Path) -> None:
    grads = []
    for name, recompute in (("a", False), ("b", True)):
        run = Run(make_stage(tmp_path / name, recompute=recompute))
        run.forward(Random().step(0)[0]).loss.backward()
        grads.append([p.grad for p in run.stage.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_recomputing_runs_the_blocks_twice(tmp_path: Path) -> None:
    calls = []
    stage = make_stage(tmp_path, recompute=True)
    block = stage.model.blocks[0]
    original = block.forward
    block.forward = lambda *a, **k: calls.append(1) or original(*a, **k)
    run = Run(stage)
    run.forward(Random().step(0)[0]).loss.backward()
    assert len(calls) == 2


def test_accumulation_gives_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    """The clipped, averaged step of two micro-batches is that of all their tokens at once."""
    stage = make_stage(tmp_path, Random(steps=1), optimizer="adamw", grad_clip=1.0)
    assert train(stage)
    model = GPT(SHAPE)
    init_weights(model, torch.Generator().manual_seed(0))
    batch = Random().step(0)
    ids, targets = (torch.cat([getattr(b, name) for b in batch]) for name in ("inputs", "targets"))
    loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item()
    (event,) = events(tmp_path, "step")
    assert event["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert event["grad_norm"] == pytest.approx(norm, rel=1e-5)


def test_events_carry_what_a_run_screen_needs(tmp_path: Path) -> None:
    stage = make_stage(tmp_path, valid_every=5, sample_every=6)
    stage.validate = lambda model: {"bits_per_byte": 1.5}
    stage.sample = lambda model: "hello"
    assert train(stage)
    (start,) = events(tmp_path, "start")
    assert start.keys() >= {"stage", "steps", "device", "precision", "parameters", "trained", "processes", "pid"}
    wanted = {"step", "steps", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "eta_seconds", "memory_mb"}
    steps = events(tmp_path, "step")
    assert all(event.keys() >= wanted for event in steps)
    assert steps[-1]["eta_seconds"] == 0
    assert steps[-1]["tokens"] == 12 * 128
    assert [e["step"] for e in events(tmp_path, "valid")] == [5, 10, 12]
    assert [e["step"] for e in events(tmp_path, "sample")] == [6, 12]
    assert events(tmp_path, "checkpoint")[-1]["file"] == "checkpoint.pt"
    assert events(tmp_path, "end")


def test_minutes_that_are_over_end_a_slice_and_slices_make_the_run(tmp_path: Path) -> None:
    sittings = 0
    while not train(_slice(tmp_path / "a")):
        sittings += 1
        assert events(tmp_path / "a", "stopped")[-1]["reason"] == "time is up"
    assert sittings == 11, "one step each"
    assert train(make_stage(tmp_path / "b"))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def _slice(folder: Path):  # type: ignore[no-untyped-def]
    stage = make_stage(folder)
    stage.max_minutes = 0.0
    return stage


def test_nothing_is_loaded_from_a_run_that_has_learned_nothing(tmp_path: Path) -> None:
    run = Run(make_stage(tmp_path))
    run.save()
    with pytest.raises(TrainingError, match="has not learned anything yet"):
        load_weights(tmp_path / "checkpoint.pt", GPT(SHAPE))


def test_batches_are_counted_cut_and_moved() -> None:
    batch = Random().step(0)[0]
    assert (rows(batch), tokens(batch)) == (4, 64)
    pieces = cut(batch, 3)
    assert [rows(piece) for piece in pieces] == [2, 2]
    assert torch.equal(torch.cat([piece.targets for piece in pieces]), batch.targets)
    assert move(batch, torch.device("meta")).inputs.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("ignored", [0, 300])
def test_the_lean_loss_is_cross_entropy(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, ignored: int) -> None:
    """Loss and gradients as torch has them from whole logits, over several pieces, some rows left out."""
    monkeypatch.setattr("training.loop.lean_loss.ROWS", 100)
    numbers = torch.Generator().manual_seed(0)
    hidden = torch.randn(350, 16, generator=numbers)
    weight, targets = torch.randn(40, 16, generator=numbers), torch.randint(0, 40, (350,), generator=numbers)
    targets[:ignored] = IGNORE
    found = []
    for lean in (True, False):
        x, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = torch.nn.functional.linear(x, w)
            loss = summed_cross_entropy(x, w, targets) if lean else cross_entropy(logits[None], targets[None])
        (loss * 0.5).backward()
        found.append((loss.detach(), x.grad, w.grad))
        assert loss.dtype == torch.float32
    loose = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 5e-2}
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **loose)


def test_frozen_heads_and_evaluation_make_no_gradient_of_the_matrix() -> None:
    hidden, weight = torch.randn(20, 8, requires_grad=True), torch.randn(30, 8)
    targets = torch.randint(0, 30, (20,))
    summed_cross_entropy(hidden, weight, targets).backward()
    assert hidden.grad is not None
    assert weight.grad is None
    with torch.no_grad():
        assert not summed_cross_entropy(hidden, weight, targets).requires_grad
    assert summed_cross_entropy(hidden, weight, torch.full((20,), IGNORE)).item() == 0


@pytest.mark.parametrize("native", [True, False])
def test_auto_multiplies_in_bf16_only_where_that_is_native(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr("training.loop.precision.fast_bf16", lambda kind: native)
    monkeypatch.setattr("training.loop.muon.fast_bf16", lambda kind: native)
    with autocast(torch.device("cpu")):
        assert torch.is_autocast_enabled("cpu") == native
    with autocast(torch.device("cpu"), "bf16"):
        assert torch.is_autocast_enabled("cpu"), "what the recipe says counts"
    assert orthogonal(torch.randn(1, 8, 8)).dtype == (torch.bfloat16 if native else torch.float32)


def test_large_pages_are_asked_for_unless_somebody_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    large_pages()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
