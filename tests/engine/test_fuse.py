"""A fused model says the same, up to the rounding of its precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import KVCache
from engine.decoder.layers import RMSNorm
from engine.decoder.model import GPT, init_weights
from engine.run.fuse import fuse
from engine.run.generate_steps import decode, prefill
from engine.run.linear_half import PackedLinear, has_packed
from engine.run.mean_free import MeanFree
from engine.run.quick_norms import quick_norm

SHAPE = {"vocab_size": 300, "n_layer": 2, "d_model": 64, "n_head": 4, "n_kv_head": 2, "head_dim": 16, "d_ff": 96}
GPT2 = {
    **SHAPE,
    "n_kv_head": 4,
    "norm": "layer",
    "mlp": "gelu",
    "position": "learned",
    "qk_norm": False,
    "attention_bias": True,
    "output_bias": True,
    "mlp_bias": True,
}


def model(shape: dict, dtype: torch.dtype) -> GPT:
    made = GPT(GPTConfig(**shape))
    init_weights(made, torch.Generator().manual_seed(0))
    made.to(dtype)
    if made.positions is None:
        made.make_rope()
    return made.eval().requires_grad_(False)


SHAPES = {
    "tied": SHAPE,
    "untied": {**SHAPE, "tie_embeddings": False},
    "gpt2": GPT2,
    "relu2": {**SHAPE, "mlp": "relu2", "qk_norm": False},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=["fp32", "bf16"])
def test_the_same_logits(shape: dict, dtype: torch.dtype, tolerance: float) -> None:
    plain, fused = model(shape, dtype), fuse(model(shape, dtype))
    ids = torch.randint(0, 300, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    expected = plain(torch.tensor([ids]))[0].float()
    cache = KVCache(fused.config, dtype=dtype)
    logits = [prefill(fused, ids[:30], cache)]
    logits += [decode(fused, token, cache) for token in ids[30:]]
    torch.testing.assert_close(torch.stack(logits).float(), expected[29:], atol=tolerance, rtol=tolerance)
    assert fused.parameter_count() == plain.parameter_count()
    assert fuse(fused) is fused


@pytest.mark.usefixtures("without_compiled_code")
def test_bf16_on_a_cpu_is_packed() -> None:
    if not has_packed():
        pytest.skip("this torch or processor does not pack bf16 weights")
    assert isinstance(fuse(model(SHAPE, torch.bfloat16)).blocks[0].attention.qkv, PackedLinear)


def test_int8_is_close_and_reads_many_tokens_in_bf16() -> None:
    plain, fused = model(SHAPE, torch.bfloat16), fuse(model(SHAPE, torch.bfloat16), "int8")
    ids = torch.randint(0, 300, (40,), generator=torch.Generator().manual_seed(1)).tolist()
    expected = plain(torch.tensor([ids]))[0].float()
    cache = KVCache(fused.config, dtype=torch.bfloat16)
    prefill(fused, ids[:30], cache)
    logits = torch.stack([decode(fused, token, cache) for token in ids[30:]]).float()
    error = (logits - expected[30:]).norm() / expected[30:].norm()
    assert error < 0.03
    assert fused.parameter_count() == plain.parameter_count()


def test_a_token_that_fails_midway_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    fused, ids = fuse(model(SHAPE, torch.float32)), list(range(30))
    cache = KVCache(fused.config)
    prefill(fused, ids[:10], cache)

    def fails(*_: object) -> torch.Tensor:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(fused, "blocks", [fused.blocks[0], fails])
        with pytest.raises(MemoryError):
            decode(fused, ids[10], cache)
    cache.truncate(10)
    again = prefill(fused, ids[10:], cache)
    torch.testing.assert_close(again, prefill(fused, ids, KVCache(fused.config)))


@pytest.mark.parametrize("mlp", ["swiglu", "gelu"])
def test_a_stream_without_a_mean_says_the_same(mlp: str) -> None:
    """With norms' weights, biases, and an epsilon that counts."""
    shape = {**SHAPE, "mlp": mlp, "attention_bias": True, "output_bias": True, "mlp_bias": True, "norm_eps": 0.1}
    made = model(shape, torch.float32)
    block, stream = made.blocks[0], MeanFree(SHAPE["d_model"])
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    rope = (made.cos[:9], made.sin[:9])
    x = torch.randn(9, SHAPE["d_model"], generator=torch.Generator().manual_seed(2)) + 0.5
    widened = stream.into(x)
    torch.testing.assert_close(widened.sum(-1), torch.zeros(9), atol=1e-5, rtol=0)
    torch.testing.assert_close(widened.norm(dim=-1), x.norm(dim=-1))
    y = stream.back(stream.block(block)(widened[None], rope, None)[0])
    torch.testing.assert_close(y, block(x[None], rope, None)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("shape", [SHAPE, GPT2, {**SHAPE, "local_layers": (True, False), "window": 7}], ids=str)
@pytest.mark.parametrize("large", [True, False])
def test_what_a_cache_holds_before_it_is_filled_is_never_looked_at(
    precision: str, shape: dict, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.run.fuse.LARGE_CACHE", 1 if large else 2**60)
    fused = fuse(model(shape, torch.bfloat16 if precision == "bf16" else torch.float32), precision)
    ids = torch.randint(0, 300, (300,), generator=torch.Generator().manual_seed(1)).tolist()

    def said(filling: float) -> torch.Tensor:
        monkeypatch.setattr(
            "engine.decoder.kv_cache.room_for",
            lambda shape, device, dtype: _full(shape, filling, dtype),
        )
        cache = fused.new_cache(280)
        pieces = ids[:3], ids[3:260], ids[260:264]
        logits = [prefill(fused, piece, cache) for piece in pieces]
        cache.reserve(300)
        return torch.stack([*logits, *(decode(fused, token, cache) for token in ids[264:])])

    torch.testing.assert_close(said(torch.nan), said(0.0))


def _full(shape: tuple[int, ...], filling: float, dtype: torch.dtype) -> torch.Tensor:
    """`filling` everywhere; where numbers of 32 bits lie among bytes, all ones are not a number."""
    return torch.full(shape, filling if dtype != torch.int8 else -1 if filling != filling else 0, dtype=dtype)


def test_a_norm_in_bf16_takes_the_fp32_that_small_layers_give() -> None:
    torch.manual_seed(0)
    norm, x = RMSNorm(64, 1e-6), torch.randn(3, 64)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    found = quick_norm(norm, torch.bfloat16)(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), norm(x).detach(), atol=0.02, rtol=0.02)
