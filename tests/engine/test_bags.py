"""Attention as embedding bags, and the folded cache it reads, say what plain attention says."""

from __future__ import annotations

import pytest
import torch

from engine.decoder.kv_cache import FOLD, KVCache
from engine.decoder.view import padded
from engine.run.attention import attention_weights
from engine.run.bags import KEPT, attend_in_bags, attention_bags, bag_sums, has_bags
from engine.run.fuse import LARGE_CACHE, FusedGPT, fuse
from engine.run.generate_steps import decode, new_cache, prefill
from tests.engine.test_fuse import GPT2, SHAPE, model

pytestmark = [
    pytest.mark.skipif(not has_bags(), reason="this torch or processor has no quick embedding bags"),
    pytest.mark.usefixtures("without_compiled_code"),
]

LONG = 3 * FOLD
SHAPES = {
    "groups": {**SHAPE, "context_length": LONG},
    "gpt2": {**GPT2, "context_length": LONG},
    "windowed": {**SHAPE, "context_length": LONG, "local_layers": (True, False), "window": 40},
}


def ids(count: int) -> list[int]:
    return torch.randint(0, 300, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def sharp(shape: dict, precision: str) -> FusedGPT:
    """A model whose attention is uneven, so that a wrong key shows."""
    made = model(shape, torch.bfloat16)
    for block in made.blocks:
        for layer in (block.attention.q, block.attention.k):  # type: ignore[union-attr]
            layer.weight.mul_(8)  # type: ignore[union-attr, operator]
        block.attention.out.weight.mul_(8)  # type: ignore[union-attr, operator]
    return fuse(made, precision)  # type: ignore[arg-type]


def folded(fused: FusedGPT, capacity: int | None = None, batch: int = 1) -> KVCache:
    return KVCache(fused.config, capacity=capacity, batch=batch, dtype=KEPT, folded=True)


def error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.float() - expected.float()).norm() / expected.float().norm())


def test_bags_are_a_row_times_a_matrix() -> None:
    random = torch.Generator().manual_seed(0)
    table, weights = (torch.randn(*shape, generator=random).to(KEPT) for shape in ((60, 96), (3, 20)))
    rows = torch.arange(60, dtype=torch.int32)
    sums = bag_sums(table, rows, rows[::20].contiguous(), weights.flatten())
    exact = torch.bmm(weights.float()[:, None], table.float().view(3, 20, 96))[:, 0]
    assert error(sums, exact) < 1e-3


@pytest.mark.parametrize("total", [1, FOLD - 1, FOLD, FOLD + 1, 2 * FOLD + 88])
@pytest.mark.parametrize(("first", "tokens"), [(0, 1), (0, 5), (FOLD - 30, 1), (FOLD + 3, 4)])
def test_attention_across_blocks(total: int, first: int, tokens: int) -> None:
    if first + tokens > total:
        pytest.skip("nothing to look at")
    random = torch.Generator().manual_seed(total)
    heads, group, head_dim = 6, 3, 32
    q = torch.randn(heads, tokens, head_dim, generator=random)
    k, v = (torch.randn(1, heads // group, total, head_dim, generator=random).to(KEPT) for _ in range(2))
    shape = {**SHAPE, "n_head": heads, "n_kv_head": heads // group, "head_dim": head_dim, "context_length": LONG}
    layer = folded(fuse(model(shape, torch.bfloat16))).layers[0]
    tables = layer.append(k, v)
    hidden = torch.zeros(tokens, total - first).masked_fill_(
        torch.ones(tokens, total - first, dtype=torch.bool).triu(total - first - tokens + 1), -torch.inf
    )
    bags = attention_bags(heads, group, tokens, head_dim, layer.k.shape[2], first, total)
    y = attend_in_bags(q.reshape(-1, head_dim), tables, bags, 0.3, hidden.repeat(heads, 1).to(KEPT))
    k, v = (each[0, :, first:].float().repeat_interleave(group, 0) for each in (k, v))
    exact = (q @ k.transpose(1, 2) * 0.3 + hidden).softmax(-1) @ v
    assert error(y.view(exact.shape), exact) < 2e-3
    k_all, v_all = layer.everything()
    torch.testing.assert_close((k_all[0, 0, first:], v_all[0, 0, first:]), (k[0], v[0]), rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_model_says_the_same(shape: dict, precision: str) -> None:
    """Read in pieces that end within blocks, told on across their borders, a few tokens at once, and taken back."""
    fused, tokens = sharp(shape, precision), ids(LONG)

    def said(cache: KVCache) -> torch.Tensor:
        logits = [prefill(fused, tokens[: FOLD - 5], cache)]
        logits += [decode(fused, token, cache) for token in tokens[FOLD - 5 : FOLD + 5]]
        logits += list(fused(torch.tensor([tokens[FOLD + 5 : FOLD + 9]]), cache)[0])
        logits.append(prefill(fused, tokens[FOLD + 9 : 2 * FOLD + 30], cache))
        cache.truncate(FOLD + 20)
        logits += [decode(fused, token, cache) for token in reversed(tokens[:20])]
        assert cache.length == FOLD + 40
        return torch.stack([each for each in logits if each is not None])

    plain, in_bags = said(KVCache(fused.config)), said(folded(fused))
    assert error(in_bags, plain) < 0.02
    assert error(plain.roll(1, 0), plain) > 0.5  # so much do they differ


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_caches_grow_share_a_beginning_and_lose_rows(shape: dict) -> None:
    fused, tokens = sharp(shape, "bf16"), ids(FOLD + 40)
    cache = folded(fused, 20)
    assert cache.capacity == 20
    prefill(fused, tokens[:20], cache)
    cache.reserve(LONG)
    prefill(fused, tokens[20:FOLD], cache)
    other = folded(fused)
    other.copy_beginning(cache, FOLD - 7)
    rest = tokens[FOLD - 7 :]
    expected = prefill(fused, tokens, KVCache(fused.config))
    assert expected is not None
    assert error(torch.stack([decode(fused, token, other) for token in rest])[-1], expected) < 0.02
    rows = folded(fused, batch=3)
    padding = torch.tensor([0, 60, 5])  # more than a window: padding sees itself, for an empty row is not a number
    batch = torch.tensor([tokens, [0] * 60 + tokens[:-60], [0] * 5 + tokens[:-5]])
    fused(batch[:, :-1], rows, padded(padding, 0, len(tokens) - 1))
    kept = torch.tensor([2, 0])
    rows.keep(kept)
    last = fused(batch[kept, -1:], rows, padded(padding[kept], len(tokens) - 1, 1))[:, -1]
    assert error(last[1], expected) < 0.02
    shorter = prefill(fused, tokens[:-5], KVCache(fused.config))
    assert shorter is not None
    assert error(last[0], shorter) < 0.02


def test_looking_inside_reads_a_folded_cache() -> None:
    fused, tokens = sharp(SHAPES["groups"], "int8"), ids(FOLD + 9)
    seen = []
    for cache in (KVCache(fused.config), folded(fused)):
        prefill(fused, tokens, cache)
        seen.append(attention_weights(fused, cache, tokens[FOLD + 3], FOLD + 3))
        assert cache.length == len(tokens)
    assert seen[0].amax() > 0.02  # of 260
    torch.testing.assert_close(seen[1], seen[0], atol=0.01, rtol=0.05)


def test_who_gets_a_folded_cache() -> None:
    context = LARGE_CACHE // (SHAPE["n_kv_head"] * SHAPE["head_dim"])
    large = {**SHAPE, "context_length": context}
    assert new_cache(fuse(model(large, torch.bfloat16), "int8"), 8).folded
    assert not new_cache(fuse(model(large, torch.float32), "fp32"), 8).folded, "it is exact"
    assert not new_cache(fuse(model({**large, "context_length": context - 1}, torch.bfloat16), "int8"), 8).folded
    assert not new_cache(model(large, torch.bfloat16), 8).folded, "its layers do not know what that is"
    alone = {**large, "n_head": 1, "n_kv_head": 1, "context_length": 2 * context}
    assert not new_cache(fuse(model(alone, torch.bfloat16), "int8"), 8).folded, "a single bag is slow"
