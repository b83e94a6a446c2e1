"""Decoding by a recording says exactly what the same code says unrecorded."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
import torch

from engine.decoder.kv_cache import KVCache
from engine.protocol import Load
from engine.run.fuse import LARGE_CACHE, FusedGPT, fuse
from engine.run.generate_steps import decode, new_cache, prefill
from engine.run.linear import Precision
from engine.run.linear_half import HalfLinear, NarrowLinear, has_half
from engine.run.traced import TracedDecode, record
from engine.worker import Worker
from tests.engine.test_fuse import GPT2, SHAPE
from tests.engine.test_fuse import model as plain_model

pytestmark = pytest.mark.usefixtures("without_compiled_code")

SHAPES = {
    "qwen3": SHAPE,
    "llama": {**SHAPE, "qk_norm": False, "tie_embeddings": False},
    "gpt2": GPT2,
    "relu2": {**SHAPE, "mlp": "relu2"},
    "scaled": {**SHAPE, "mlp": "geglu", "post_norms": True, "embedding_scale": 8.0},
    "folded": {**SHAPE, "context_length": LARGE_CACHE // 32},
    "wide": {**SHAPE, "d_model": 512, "n_head": 8, "n_kv_head": 8, "head_dim": 64, "d_ff": 512},
}
WINDOWED = {**SHAPE, "local_layers": (True, False), "window": 4}


def fused(shape: dict, precision: Precision, dtype: torch.dtype = torch.float32) -> FusedGPT:
    return fuse(plain_model(shape, dtype), precision)


def said(model: FusedGPT, cache: KVCache, count: int) -> torch.Tensor:
    """Logits [count, vocabulary] of greedy decoding behind a prompt."""
    logits = prefill(model, [5, 6, 7, 8, 9], cache)
    assert logits is not None
    rows = [logits]
    for _ in range(count - 1):
        rows.append(decode(model, int(rows[-1].argmax()), cache).clone())
    return torch.stack(rows)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_same_numbers(shape: dict, precision: Precision) -> None:
    model = fused(shape, precision, torch.bfloat16 if precision == "bf16" else torch.float32)
    plain = said(model, new_cache(model), 40)
    assert record(model)
    assert isinstance(model.step, TracedDecode)
    cache = new_cache(model, 8)
    cache.reserve(64)  # the recording was made for other memory
    recorded = said(model, cache, 40)
    assert cache.length == 5 + 39
    tolerance = 0.02 if precision == "bf16" else 0  # GELU is computed within the multiplication, or behind it
    torch.testing.assert_close(recorded, plain, atol=tolerance, rtol=tolerance)


@pytest.mark.skipif(not has_half(), reason="this torch has no fp16 weights here")
def test_weights_in_fp16_are_recorded() -> None:
    """They are no tensor; narrow layers have them, and all layers where the processor has no bf16."""
    model = fused(SHAPE, "bf16")
    assert isinstance(model.head, HalfLinear | NarrowLinear)
    plain = said(model, new_cache(model), 12)
    assert record(model)
    torch.testing.assert_close(said(model, new_cache(model), 12), plain)


def test_sliding_windows_are_not_recorded() -> None:
    """Which positions are cut off depends on how many there are, and a recording would not look."""
    model = fused(WINDOWED, "fp32")
    assert not record(model)
    assert model.step is None


def test_the_worker_records_when_it_rests(tiny_folder: Path) -> None:
    """Once for each model, and not before it has answered who is waiting."""
    worker = Worker(BytesIO())
    worker.rest()  # without a model
    for _ in range(2):
        worker.handle(Load(str(tiny_folder), device="cpu", precision="fp32"))
        assert worker._generator is not None
        model = worker._generator.model
        assert isinstance(model, FusedGPT)
        assert model.step is None
        worker.rest()
        step = model.step
        assert isinstance(step, TracedDecode)
        worker.rest()
        assert model.step is step


def test_a_torch_without_torchscript_decodes_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fused(SHAPE, "fp32")
    monkeypatch.delattr("torch.jit.trace")
    assert not record(model)
    assert said(model, KVCache(model.config), 4).shape == (4, 300)
