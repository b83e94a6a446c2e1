"""What a CPU goes back through by our own steps is what torch's own kernels say, forward and back."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.decoder import backward, layers
from engine.decoder.backward import LONGEST, QUERIES, RMSNormed, multiplies_out
from engine.decoder.encoder_decoder import Transformer, TransformerConfig
from engine.decoder.layers import RMSNorm, attend

CLOSE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def far(found: Tensor, expected: Tensor) -> float:
    """The difference's norm over the norm of what is expected."""
    return ((found.float() - expected.float()).norm() / expected.float().norm()).item()


def with_gradients(limit: int, dtype: torch.dtype, length: int, window: int, padded: bool) -> list[Tensor]:
    """Attention of six query heads over two, and the gradients of q, k and v, by our steps up to `limit` tokens."""
    generator = torch.Generator().manual_seed(length)
    q, k, v = (torch.randn(3, length, heads, 32, generator=generator).to(dtype).requires_grad_() for heads in (6, 2, 2))
    seen = torch.arange(length) < torch.tensor([length, max(1, length // 2), length - 1])[:, None]  # B T
    mask = seen[:, None, None, :].expand(3, 1, length, length) if padded else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LONGEST, dtype, limit)
        y = attend(*(x.transpose(1, 2) for x in (q, k, v)), None, window, mask)
    there = seen[:, None, :, None] if padded else torch.ones(1, dtype=torch.bool)
    assert y.isfinite().all()  # padding, too, which may see nothing
    y = torch.where(there, y, 0)
    y.backward(torch.randn(y.shape, generator=generator).to(dtype))
    return [y.detach(), *(x.grad for x in (q, k, v) if x.grad is not None)]


@pytest.mark.parametrize("dtype", list(LONGEST))
@pytest.mark.parametrize("length", [2, 33, QUERIES, QUERIES + 1, 2 * QUERIES + 40])
@pytest.mark.parametrize("window", [0, 17, 150])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_multiplied_out_is_torchs(dtype: torch.dtype, length: int, window: int, padded: bool) -> None:
    ours, theirs = (with_gradients(limit, dtype, length, window, padded) for limit in (10_000, 0))
    assert len(ours) == len(theirs) == 4
    assert max(far(found, expected) for found, expected in zip(ours, theirs, strict=True)) < CLOSE[dtype]


def test_attention_is_multiplied_out_only_for_gradients_of_short_texts_on_a_cpu() -> None:
    wanted = torch.zeros(1, 2, 8, 4, requires_grad=True)
    assert multiplies_out(wanted, wanted)
    assert not multiplies_out(wanted.detach(), wanted)
    assert not multiplies_out(wanted.half(), wanted)
    assert not multiplies_out(wanted[:, :, :1], wanted)
    long = torch.zeros(1, 2, LONGEST[torch.float32] + 1, 4, requires_grad=True)
    assert not multiplies_out(long, long)
    assert multiplies_out(long.bfloat16(), long.bfloat16())
    assert not multiplies_out(wanted.to("meta"), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 5, 48), (2, 5, 3, 16), (7, 384)])
def test_the_norms_own_gradient_is_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    x = (3 * torch.randn(shape, generator=generator)).to(dtype).requires_grad_()
    weight = torch.randn(shape[-1], generator=generator, requires_grad=True)
    above = torch.randn(shape, generator=generator).to(dtype)
    expected = F.rms_norm(x.double(), shape[-1:], weight.double(), 1e-3)
    gradients = torch.autograd.grad(expected, (x, weight), above.double())
    found = RMSNormed.apply(x, weight, 1e-3)
    assert found.dtype == x.dtype
    ours = torch.autograd.grad(found, (x, weight), above)
    pairs = zip((found, *ours), (expected, *gradients), strict=True)
    assert max(far(mine, exact) for mine, exact in pairs) < CLOSE[dtype] / 4


def test_a_norm_takes_its_own_gradient_only_where_one_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    norm, x = RMSNorm(8, 1e-6), torch.randn(3, 8, requires_grad=True)
    torch.nn.init.ones_(norm.weight)
    called: list[int] = []
    monkeypatch.setattr(layers, "RMSNormed", type("Counted", (), {"apply": lambda *_: called.append(1) or x}))
    norm(x)
    assert called == [1]
    with torch.no_grad():
        norm(x.detach())
    assert called == [1]


def test_the_transformer_learns_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(vocab_size=50, context_length=32, d_model=32, n_head=2, d_ff=64, dropout=0.0))
    source, target = torch.randint(1, 50, (3, 9)), torch.randint(1, 50, (3, 7))
    lengths, found = torch.tensor([9, 4, 7]), []
    for limit in (10_000, 0):
        monkeypatch.setitem(backward.LONGEST, torch.float32, limit)
        model.zero_grad()
        model(source, lengths, target).square().mean().backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 20
    assert all(far(mine, exact) < 1e-4 for mine, exact in zip(*found, strict=True) if exact.norm() > 1e-6)
