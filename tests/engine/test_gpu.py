"""What runs on a CPU runs on a GPU, and says the same: CUDA in fp32 and bf16, Apple's GPU in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.files.model_folder import load, load_fused
from engine.protocol import SamplingParams
from engine.run.batch import generate_batch
from engine.run.device import choose
from engine.run.fuse import fuse
from engine.run.generate import Generator
from engine.run.scoring import embed, score_continuations
from tests.engine.test_generate import ask, collect

GPUS = [
    pytest.param("cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")]),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no Apple GPU")),
]
GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=20)


@pytest.mark.parametrize("device", GPUS)
def test_fp32_says_what_a_cpu_says(device: str, tiny_folder: Path) -> None:
    here, there = load_fused(tiny_folder, choose("cpu", "fp32")), load_fused(tiny_folder, choose(device, "fp32"))
    tokens = list(range(40))
    torch.testing.assert_close(
        there.model(torch.tensor([tokens], device=device)).cpu(),
        here.model(torch.tensor([tokens])),
        atol=1e-3,
        rtol=1e-3,
    )
    assert collect(Generator(there), ask("Hello there"))[1] == collect(Generator(here), ask("Hello there"))[1]
    torch.testing.assert_close(embed(there.model, [tokens]), embed(here.model, [tokens]), atol=1e-3, rtol=1e-3)
    ours, theirs = (score_continuations(m.model, tokens, [[5, 6]]) for m in (here, there))
    assert theirs[0] == pytest.approx(ours[0], abs=1e-3)
    rows = [[r.tokens for r in generate_batch(m.model, [tokens, [3]], GREEDY, frozenset())] for m in (here, there)]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("device", GPUS)
def test_auto_precision_is_close(device: str, tiny_folder: Path) -> None:
    exact = load(tiny_folder).model(torch.arange(40)[None])[0]
    there = load_fused(tiny_folder, choose(device, "auto")).model
    got = there(torch.arange(40, device=device)[None])[0].cpu()
    assert (got - exact).norm() / exact.norm() < 0.03
    assert fuse(there) is there
