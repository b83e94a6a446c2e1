"""Padded and packed rows give each text what it gets when it is alone: in plain and in fused layers."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.config import GPTConfig
from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT, init_weights
from engine.decoder.view import both_ways, packed, padded
from engine.run.fuse import fuse

SHAPE = {"vocab_size": 200, "context_length": 64, "n_layer": 3, "n_head": 4, "n_kv_head": 2, "head_dim": 8}
CONFIGS = {
    "rope": GPTConfig(**SHAPE, d_model=32, d_ff=48),
    "learned": GPTConfig(**SHAPE, d_model=32, d_ff=48, position="learned", norm="layer", mlp="gelu", qk_norm=False),
    "windowed": GPTConfig(
        **SHAPE, d_model=32, d_ff=48, window=5, local_layers=(True, False, True), local_rope_theta=1000.0
    ),
}


def make(name: str) -> GPT:
    model = GPT(CONFIGS[name])
    init_weights(model, torch.Generator().manual_seed(1))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data *= 10  # so that attention is not nearly even, and a wrong mask shows
    return model.eval().requires_grad_(False)


def texts(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(0, 200, (length,), generator=generator) for length in lengths]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_packed_documents_do_not_see_each_other(name: str, fused: bool) -> None:
    model, documents = make(name), texts(9, 1, 17, 4)
    alone = torch.cat([model(document[None])[0] for document in documents])
    numbers = torch.cat([torch.full((len(document),), i) for i, document in enumerate(documents)])
    model = fuse(model) if fused else model
    together = model(torch.cat(documents)[None], None, packed(numbers[None]))[0]
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_padded_rows_equal_each_text_alone_with_and_without_a_cache(name: str, fused: bool) -> None:
    model, rows = make(name), texts(14, 3, 9)
    alone = [model(row[None])[0] for row in rows]
    padding = torch.tensor([14 - len(row) for row in rows])
    batch = torch.stack([torch.cat((torch.zeros(14 - len(row), dtype=torch.int64), row)) for row in rows])
    model = fuse(model) if fused else model
    whole = model(batch, None, padded(padding, 0, 14))
    cache = KVCache(model.config, batch=3)
    pieces = [model(batch[:, a:b], cache, padded(padding, a, b - a)) for a, b in ((0, 8), (8, 13), (13, 14))]
    for row, expected in enumerate(alone):
        for got in (whole, torch.cat(pieces, dim=1)):
            assert got.isfinite().all()
            torch.testing.assert_close(got[row, int(padding[row]) :], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("precision", ["plain", "fp32", "bf16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_rows_that_look_both_ways_equal_each_text_alone(name: str, precision: str) -> None:
    model, rows = make(name), texts(14, 3, 9)
    view = both_ways(torch.tensor([14, 3, 9]), 14)
    alone = [model.hidden(row[None], view=both_ways(torch.tensor([len(row)]), len(row)))[0] for row in rows]
    assert not torch.allclose(alone[0][0], model.hidden(rows[0][None])[0, 0], atol=0.1), "what follows is seen"
    batch = torch.stack([torch.cat((row, torch.zeros(14 - len(row), dtype=torch.int64))) for row in rows])
    if precision != "plain":
        model = fuse(model, precision)
    hidden = model.hidden(batch, view=view)
    tolerance = 1e-4 if precision != "bf16" else 0.25  # out of numbers up to about 3
    for row, expected in enumerate(alone):
        torch.testing.assert_close(hidden[row, : len(expected)].float(), expected, atol=tolerance, rtol=tolerance)
