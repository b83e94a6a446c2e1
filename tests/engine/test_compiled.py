"""The machine code that ships: it is what its sources say, and computes what torch does, by one thread or several."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.decoder.kv_cache import COMPACT, CompactLayerCache, KVCache
from engine.decoder.model import GPT
from engine.decoder.view import both_ways as seen_whole
from engine.run.compiled.code import build
from engine.run.compiled.host import OFF, TARGETS, file, target
from engine.run.compiled.linear import CompiledLinear, compiles
from engine.run.compiled.machine import machine
from engine.run.compiled.step import MOST, CompiledStep
from engine.run.fuse import FusedGPT, fuse
from engine.run.generate_steps import decode, new_cache, prefill, read_few
from tests.engine.test_fuse import GPT2, SHAPE
from tests.engine.test_fuse import model as plain_model

pytestmark = pytest.mark.skipif(not target(), reason="there is no machine code for this processor or system")

ENOUGH = [name for name in TARGETS if target() == name or target().startswith("x86_64-avx512")]
WIDE = {**SHAPE, "vocab_size": 301, "d_model": 576, "d_ff": 640, "n_head": 9, "n_kv_head": 3, "head_dim": 64}
SHAPES = {
    "qwen3": SHAPE,
    "llama": {**SHAPE, "qk_norm": False, "tie_embeddings": False, "mlp_bias": False},
    "gpt2": GPT2,
    "geglu": {**SHAPE, "mlp": "geglu", "embedding_scale": 3.0, "attention_scale": 0.3},
    "heads-of-48": {**GPT2, "head_dim": 48, "n_head": 2, "n_kv_head": 2},
    "groups-of-6": {**SHAPE, "n_head": 12, "n_kv_head": 2},
    "wide": WIDE,
}


@pytest.fixture(params=ENOUGH)
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each kind of machine code that this processor can do."""
    better = [name for name in ENOUGH if ENOUGH.index(name) < ENOUGH.index(request.param)]
    monkeypatch.setenv(OFF, better[0] if better else "")
    for cached in (target, machine):
        cached.cache_clear()
    assert target() == request.param
    yield request.param
    for cached in (target, machine):
        cached.cache_clear()


IMPORT = "from engine.run.compiled.code.build import *"


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def away(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def test_the_code_is_made_of_these_sources() -> None:
    """Whoever changes them makes it anew, `python -m engine.run.compiled.build`."""
    assert build.SOURCES_DIGEST.read_text().strip() == build.digest()
    for name in TARGETS:
        assert file(name).read_bytes()[:4] == b"\x7fELF"


@pytest.mark.skipif(not importlib.util.find_spec("numba") or not shutil.which("ld"), reason="it needs numba and ld")
def test_making_it_again_makes_the_same(tmp_path: Path) -> None:
    """Of one kind, in half a minute; another version of numba or LLVM may make others."""
    name = next(iter(TARGETS))
    made = subprocess.run(
        [sys.executable, "-c", f"{IMPORT}; link({name!r}, Path({str(tmp_path / 'x.so')!r}))"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    import llvmlite
    import numba

    if f"{numba.__version__} {llvmlite.__version__}" == build.MADE_WITH.read_text(encoding="utf-8").strip():
        assert (tmp_path / "x.so").read_bytes() == file(name).read_bytes()


@pytest.mark.parametrize(("bits", "least"), [(8, 0.03), (4, 0.12)])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 100])
def test_rows_times_rounded_weights(
    bits: int, least: float, rows: int, processor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.run.compiled.linear.has_amx", lambda: False)  # which reads many rows otherwise
    weight, bias, x = numbers(100, 160), numbers(100), numbers(rows, 160)
    x[0, 3] = 12.0  # an outlier, which must not cost other rows anything
    layer = CompiledLinear(weight[:60], weight[60:], bias=bias, bits=bits)
    expected = x @ weight.t() + bias
    assert away(layer(x), expected) < least
    assert rows < 3 or away(layer(x)[1:], expected[1:]) < least
    torch.testing.assert_close(layer(x)[-1:], layer(x[-1:]), atol=1e-4, rtol=1e-4)
    some = numbers(rows, 100)
    torch.testing.assert_close(layer.add_to(some.clone(), x), some + layer(x), atol=1e-5, rtol=1e-5)
    whole = CompiledLinear(weight[:96], bias=None, bits=bits)
    some = numbers(rows, 96)
    torch.testing.assert_close(whole.add_to(some.clone(), x), some + whole(x), atol=1e-5, rtol=1e-5)
    bent = CompiledLinear(weight, bias=bias, bits=bits).with_gelu()
    torch.testing.assert_close(bent(x), torch.nn.functional.gelu(layer(x), approximate="tanh"), atol=1e-5, rtol=1e-4)


def test_inputs_that_cannot_be() -> None:
    weight = numbers(64, 40)
    assert not CompiledLinear.fits(weight)
    with pytest.raises(ValueError, match="40 inputs are no multiple of 32"):
        CompiledLinear(weight, bias=None, bits=8)
    zeros = CompiledLinear(torch.zeros(64, 64), bias=None, bits=8)
    assert torch.equal(zeros(torch.zeros(3, 64)), torch.zeros(3, 64))


def fused(shape: dict, precision: str) -> tuple[FusedGPT, GPT]:
    """A model in `precision`, and the same with the same weights in fp32; livelier than a fresh one."""
    exact, half = plain_model(shape, torch.float32), plain_model(shape, torch.bfloat16)
    for one, other in zip(exact.parameters(), half.parameters(), strict=True):
        other.mul_(3.0 if one.dim() > 1 else 1.0)
        one.copy_(other)
    return fuse(half, precision), exact


LEAST = {"bf16": 0.02, "int8": 0.07, "int4": 0.4}


@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_model_says_the_same(shape: dict, precision: str, processor: str) -> None:
    """By a prompt, by single tokens and by a few; across blocks of the cache and chunks of a prompt."""
    if not compiles(precision):
        pytest.skip(f"{precision} is torch's here")
    model, exact = fused(shape, precision)
    assert isinstance(model.step, CompiledStep)
    length = MOST + COMPACT + 30
    ids = torch.randint(0, 300, (length + 9,), generator=torch.Generator().manual_seed(1)).tolist()
    expected = exact(torch.tensor([ids]))[0]
    cache = new_cache(model)
    found = [prefill(model, ids[: length - 20], cache)]
    found += [decode(model, token, cache) for token in ids[length - 20 : length]]
    found += list(read_few(model, ids[length : length + 9], cache))
    assert cache.length == length + 9
    assert away(torch.stack(found), expected[length - 21 :]) < LEAST[precision]


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("precision", LEAST)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_text_alone(shape: dict, precision: str, both_ways: bool, processor: str) -> None:
    """Every token's last layer; for texts of one token up to as many as there is room for, in any order."""
    if not compiles(precision):
        pytest.skip(f"{precision} is torch's here")
    model, exact = fused(shape, precision)
    assert isinstance(model.step, CompiledStep)
    ids = torch.randint(0, 300, (MOST,), generator=torch.Generator().manual_seed(1)).tolist()
    for length in (70, 1, 2, 35, MOST, 4):
        tokens = torch.tensor([ids[-length:]])
        view = seen_whole(torch.tensor([length]), length) if both_ways else None
        with torch.inference_mode():
            found, expected = model.step.hidden(ids[-length:], both_ways=both_ways), exact.hidden(tokens, view=view)[0]
        assert found.shape == expected.shape
        assert away(found, expected) < LEAST[precision]
    prompt, cache = ids[:50], new_cache(model)
    assert away(prefill(model, prompt, cache), exact(torch.tensor([prompt]))[0, -1]) < LEAST[precision]


def test_threads_and_one_alone_say_exactly_the_same(processor: str) -> None:
    """Parts are whole outputs and heads: who does them changes no number. Threads come and go in between."""
    model, _ = fused(SHAPES["qwen3"], "int8")
    ids = torch.randint(0, 300, (200,), generator=torch.Generator().manual_seed(1)).tolist()
    before, said = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4, 1, 3):
            torch.set_num_threads(threads)
            for _ in range(15):
                cache = new_cache(model)
                prompt = prefill(model, ids[:100], cache)
                said.append(torch.stack([prompt, *(decode(model, token, cache) for token in ids[100:])]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, said[0]) for one in said)


def test_the_first_job_of_a_process_is_right(processor: str) -> None:
    """A helper that is there before the leader has opened anything finds nothing open (it once found part 0)."""
    weight, x = numbers(512, 64), numbers(1, 64)
    layer = CompiledLinear(weight, bias=None, bits=8)
    expected = layer(x)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(200):
            machine.cache_clear()
            assert torch.equal(layer(x), expected)
    finally:
        torch.set_num_threads(before)


def test_two_threads_of_the_app_may_ask_at_once(processor: str) -> None:
    model, _ = fused(SHAPES["gpt2"], "int8")
    ids = torch.randint(0, 300, (60,), generator=torch.Generator().manual_seed(1)).tolist()

    def said() -> torch.Tensor:
        cache = new_cache(model)
        prompt = prefill(model, ids[:30], cache)
        return torch.stack([prompt, *(decode(model, token, cache) for token in ids[30:])])

    expected, wrong = said(), []

    def again() -> None:
        for _ in range(10):
            if not torch.equal(said(), expected):
                wrong.append(1)

    asking = [threading.Thread(target=again) for _ in range(3)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("heads", [1, 3])
def test_a_compact_cache_holds_what_it_was_given(heads: int) -> None:
    config = fused({**SHAPE, "n_kv_head": heads, "n_head": heads}, "fp32")[0].config
    cache = KVCache(config, capacity=200, compact=True)
    assert cache.bytes == 2 * config.n_layer * heads * 256 * (config.head_dim + 4)
    layer = cache.layers[0]
    assert isinstance(layer, CompactLayerCache)
    k, v = numbers(1, heads, 150, 16), numbers(1, heads, 150, 16)
    for first, last in ((0, 1), (1, 63), (63, 66), (66, 150)):
        found = layer.append(k[:, :, first:last], v[:, :, first:last])
    for one, expected in zip(found, (k, v), strict=True):
        assert one.shape == expected.shape
        assert (one - expected).abs().max() <= expected.abs().amax() / 127
    cache.reserve(300)
    other = KVCache(config, capacity=100, compact=True)
    other.copy_beginning(cache, 70)
    for one, all_ in zip(other.layers[0].everything(), cache.layers[0].everything(), strict=True):
        assert torch.equal(one, all_[:, :, :70])


def test_torch_and_compiled_code_read_one_anothers_caches(processor: str) -> None:
    """What batches and looking inside do goes through torch's layers, with the same cache."""
    model, exact = fused(SHAPES["qwen3"], "int8")
    ids = torch.randint(0, 300, (90,), generator=torch.Generator().manual_seed(1)).tolist()
    expected = exact(torch.tensor([ids]))[0]
    cache = new_cache(model)
    assert cache.compact
    with torch.inference_mode():
        first = model(torch.tensor([ids[:70]]), cache)[0]
        second = read_few(model, ids[70:80], cache)
        third = model(torch.tensor([ids[80:]]), cache)[0]
    assert away(torch.cat((first, second, third)), expected) < LEAST["int8"]


def test_a_batch_does_not_get_a_compact_cache() -> None:
    model, _ = fused(SHAPES["qwen3"], "int8")
    assert not model.new_cache(10, batch=3).compact


@pytest.mark.parametrize(
    "shape",
    [
        {**SHAPE, "local_layers": (True, False), "window": 7},
        {**SHAPE, "post_norms": True},
        {**SHAPE, "mlp": "relu2"},
        {**SHAPE, "head_dim": 24},
    ],
    ids=["window", "post-norms", "relu2", "head"],
)
def test_what_compiled_code_does_not_know_is_left_to_torch(shape: dict) -> None:
    model, exact = fused(shape, "int8")
    assert model.step is None
    with pytest.raises(ValueError, match="does not know"):
        CompiledStep(model)
    ids = list(range(40))
    cache = new_cache(model)
    found = [prefill(model, ids[:30], cache), *(decode(model, token, cache) for token in ids[30:])]
    assert away(torch.stack(found), exact(torch.tensor([ids]))[0, 29:]) < LEAST["int8"]


def test_no_token_is_read_behind_the_end_of_the_context(processor: str) -> None:
    """A cache of whole blocks has room for more; tables of positions have not, and machine code would read on."""
    model, _ = fused({**SHAPES["gpt2"], "context_length": 100}, "int8")
    cache = new_cache(model)
    prefill(model, list(range(99)), cache)
    assert isinstance(model.step, CompiledStep)
    assert model.step.takes(cache, 1)
    decode(model, 5, cache)
    assert cache.tensor.shape[3] > 100
    assert not model.step.takes(cache, 1)
    with pytest.raises((RuntimeError, IndexError)):
        decode(model, 5, cache)
