"""The step that CUDA graphs record says what ordinary decoding says; here without recording, on a GPU with it."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT, init_weights
from engine.run.fuse import FusedGPT, fuse
from engine.run.generate_steps import decode, prefill
from engine.run.graphs import STEP, FixedStep, GraphedDecode, speed_up

SHAPE = {"vocab_size": 300, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "head_dim": 16, "d_model": 64, "d_ff": 96}
CONFIGS = {
    "rope": GPTConfig(**SHAPE, context_length=600),
    "learned": GPTConfig(
        **SHAPE, context_length=600, position="learned", norm="layer", mlp="gelu", qk_norm=False, attention_bias=True
    ),
}


def make(config: GPTConfig, device: str = "cpu") -> FusedGPT:
    model = GPT(config)
    init_weights(model, torch.Generator().manual_seed(0))
    model.to(device)
    if model.positions is None:
        model.make_rope(device)
    return fuse(model.eval().requires_grad_(False))


def run_both(model: FusedGPT, graphed: GraphedDecode) -> None:
    """Decode 20 tokens across the edge of a recording's positions, both ways, then a second chat in between."""
    device = model.device
    for start in (STEP - 10, 5, STEP - 4):
        ids = torch.randint(0, 300, (start + 20,), generator=torch.Generator().manual_seed(start)).tolist()
        plain, fixed = (KVCache(model.config, device=device, dtype=model.dtype) for _ in range(2))
        fixed.tensor.zero_()  # as on CUDA: a CPU's caches begin unfilled
        with torch.inference_mode():
            prefill(model, ids[:start], plain)
            prefill(model, ids[:start], fixed)
            for token in ids[start:]:
                expected = decode(model, token, plain)
                torch.testing.assert_close(graphed(token, fixed), expected, atol=1e-4, rtol=1e-4)
        assert fixed.length == plain.length


@pytest.mark.parametrize("name", CONFIGS)
def test_fixed_shapes_change_nothing(name: str) -> None:
    model, made = make(CONFIGS[name]), []

    def record(step: FixedStep):
        made.append(step)
        return step.run

    run_both(model, GraphedDecode(model, record))
    assert 4 <= len(made) <= 6  # a recording is used again: sixty tokens, few recordings


def test_where_it_cannot_be_it_says_so() -> None:
    model = make(CONFIGS["rope"])
    assert speed_up(model) == "no CUDA graphs without CUDA"
    assert model.step is None
    assert not GraphedDecode.fits(make(GPTConfig(**SHAPE, window=8, local_layers=(True, False))))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", CONFIGS)
def test_recorded_on_a_gpu(name: str) -> None:
    model = make(CONFIGS[name], "cuda")
    run_both(model, GraphedDecode(model))
    assert speed_up(model) == "CUDA graphs"
    assert model.step is not None
