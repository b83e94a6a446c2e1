"""Linear layers in every precision against exact multiplication."""

from __future__ import annotations

from threading import Event, Thread

import pytest
import torch

from engine.run import linear
from engine.run.linear import make_linear
from engine.run.linear_base import FEW, LARGE, NARROW, PlainLinear
from engine.run.linear_half import (
    HALF_MAX,
    HalfLinear,
    NarrowLinear,
    PackedLinear,
    RowsLinear,
    has_half,
    has_packed,
    quick_rows,
)
from engine.run.linear_int import MANY, Int4Linear, Int8Linear, has_int4, has_int8
from engine.run.processor import without_onednn
from engine.run.rounding import int4_is_blocked, round_to_int4

pytestmark = pytest.mark.usefixtures("without_compiled_code")

CASES = {
    "packed": (PackedLinear, has_packed, 0.01),
    "rows": (RowsLinear, has_packed, 0.01),
    "narrow": (NarrowLinear, lambda: has_packed() and has_half(), 0.01),
    "int8": (Int8Linear, has_int8, 0.02),
    "int4": (Int4Linear, has_int4, 0.12),
}


def error(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 7, 128])
@pytest.mark.parametrize("outputs", [128, 101])
def test_close_to_exact(kind: str, bias: bool, rows: int, outputs: int) -> None:
    make, there, bound = CASES[kind]
    if not there():
        pytest.skip(f"this torch has no {kind} here")
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, 96, generator=random) * 0.05
    offset = torch.randn(outputs, generator=random) if bias else None
    x = torch.randn(rows, 96, generator=random)
    exact = torch.nn.functional.linear(x, weight, offset)
    half = torch.bfloat16
    rounded = offset.to(half) if offset is not None else None
    sixteen = issubclass(make, PackedLinear | RowsLinear)
    layer = make(weight.to(half), rounded) if sixteen else make(weight, bias=rounded, dtype=half)
    y = layer(x.to(half))
    assert y.shape == exact.shape
    assert y.dtype == (torch.float32 if make is NarrowLinear and rows == 1 else half)
    assert error(y, exact) < bound
    before = torch.randn(rows, outputs, generator=random)
    for dtype in (half, torch.float32):
        added = layer.add_to(before.to(dtype, copy=True), x.to(dtype))
        assert added.dtype == dtype
        assert error(added, before + exact) < bound


@pytest.mark.skipif(not has_packed(), reason="this torch has no oneDNN here")
@pytest.mark.parametrize("rows", [1, 5])
def test_rows_are_not_copied_and_onednn_stays_as_it_was(rows: int) -> None:
    weight = torch.randn(64, 96).to(torch.bfloat16)
    layer, before = RowsLinear(weight, None), torch.backends.mkldnn.enabled
    assert layer.weight.data_ptr() == weight.data_ptr()
    layer(torch.ones(rows, 96))
    assert torch.backends.mkldnn.enabled == before
    with pytest.raises(RuntimeError):
        layer(torch.ones(rows, 95))
    assert torch.backends.mkldnn.enabled == before


def test_onednn_is_there_again_when_the_last_thread_is_done() -> None:
    before, inside, leave = torch.backends.mkldnn.enabled, Event(), Event()

    def multiply() -> None:
        with without_onednn:
            inside.set()
            leave.wait(10)

    with without_onednn:
        other = Thread(target=multiply)
        other.start()
        assert inside.wait(10)
    assert not torch._C._get_mkldnn_enabled(), "the other one is still at it"
    leave.set()
    other.join()
    assert torch.backends.mkldnn.enabled == before


@pytest.mark.skipif(not quick_rows(), reason="rows are not the quicker way here")
def test_wide_layers_lie_in_rows() -> None:
    wide, narrow = torch.ones(NARROW, NARROW), torch.ones(NARROW, NARROW // 2)
    assert isinstance(make_linear(wide, bias=None, dtype=torch.bfloat16, precision="bf16"), RowsLinear)
    assert isinstance(make_linear(narrow, bias=None, dtype=torch.bfloat16, precision="bf16"), NarrowLinear)


@pytest.mark.skipif(not has_half(), reason="this torch has no fp16 weights here")
@pytest.mark.parametrize("rows", [1, 2, 7, 128])
def test_bf16_weights_are_the_same_in_fp16(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the processor multiplies no bf16."""
    monkeypatch.setattr(linear, "has_bf16", lambda: False)
    random = torch.Generator().manual_seed(0)
    weight = (torch.randn(101, 96, generator=random) * 0.05).to(torch.bfloat16).float()
    bias, x = torch.randn(101, generator=random), torch.randn(rows, 96, generator=random)
    layer = make_linear(weight, bias=bias, dtype=torch.float32, precision="bf16")
    assert isinstance(layer, HalfLinear)
    assert error(layer(x), torch.nn.functional.linear(x, weight, bias)) < 1e-6
    weight[3, 3] = 2 * HALF_MAX  # there is no such number in fp16
    assert error(make_linear(weight, bias=None, dtype=torch.float32, precision="bf16")(x), x @ weight.t()) < 1e-6


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
@pytest.mark.parametrize("inputs", [NARROW // 2, NARROW], ids=["narrow", "wide"])
def test_many_rows_say_what_each_says_alone(inputs: int) -> None:
    """Small layers have bf16 weights for many rows, where the processor multiplies bf16."""
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(NARROW, inputs, generator=random), torch.randn(NARROW, generator=random)
    x = torch.randn(FEW + 1, inputs, generator=random)
    layer = Int8Linear(weight, bias=bias, dtype=torch.float32)
    alone = torch.cat([layer(row[None]) for row in x])
    assert error(layer(x), alone) < 0.02
    assert error(layer(x[:FEW]), alone[:FEW]) < 0.02


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
def test_a_vocabulary_is_not_kept_twice() -> None:
    """It is narrow in a small model, and still too large for weights in bf16 beside those in int8."""
    weight, x = torch.ones(LARGE // 64, 64), torch.ones(FEW + 1, 64)
    assert Int8Linear(weight, bias=None, dtype=torch.float32)(x).dtype == torch.float32, "bf16 weights would give bf16"


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
def test_an_outlier_in_one_row_does_not_cost_the_others() -> None:
    weight, x = torch.randn(64, 96), torch.randn(5, 96)
    x[2, 7] = 3000.0
    y = Int8Linear(weight, bias=None, dtype=torch.float32)(x)
    expected = x @ weight.t()
    others = [0, 1, 3, 4]
    assert error(y[others], expected[others]) < 0.02
    assert torch.isfinite(Int8Linear(weight, bias=torch.ones(64), dtype=torch.float32)(torch.zeros(3, 96))).all()


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
@pytest.mark.parametrize("rows", [1, 3])
def test_neighbours_as_large_as_can_be_do_not_overflow(rows: int) -> None:
    """Without VNNI two products are added in 16 bits, and what is more than they hold would be cut off."""
    weight, x = torch.ones(64, 96), torch.ones(rows, 96)
    weight[:, 1::3] = -1
    x[:, 1::3] = 0  # what is left of each pair or of its half pulls the same way
    y = Int8Linear(weight, bias=None, dtype=torch.float32)(x)
    assert error(y, x @ weight.t()) < 0.01


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
@pytest.mark.parametrize("engine", ["fbgemm", "qnnpack"])
@pytest.mark.parametrize("rows", [1, 3])
def test_other_operators_for_int8_say_the_same(engine: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arm has QNNPACK, and FBGEMM's quicker operator will go from torch one day."""
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this torch has no {engine}")
    weight, bias, x = torch.randn(64, 96), torch.randn(64), torch.randn(rows, 96)
    exact = x @ weight.t() + bias
    assert error(Int8Linear(weight, bias=bias, dtype=torch.float32)(x), exact) < 0.02
    monkeypatch.setattr("engine.run.linear_int.int8_engine", lambda: engine)
    monkeypatch.delattr("torch.fbgemm_linear_int8_weight_fp32_activation", raising=False)
    assert error(Int8Linear(weight, bias=bias, dtype=torch.float32)(x), exact) < 0.02


@pytest.mark.skipif(not has_int8(), reason="this torch has no int8 here")
@pytest.mark.parametrize("rows", [1, 3])
def test_inputs_keep_eight_bits(rows: int) -> None:
    x = torch.linspace(-1, 1, 96).repeat(rows, 1)
    y = Int8Linear(torch.eye(96), bias=None, dtype=torch.float32)(x)
    assert (y - x).abs().max() < 1.05 / 255, "half a step of the inputs, and the weights' rounding"


def test_int4_levels_are_the_nearest_and_shrinking_helps() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(1))
    levels, scale, zero = round_to_int4(weight)
    assert levels.min() >= 0
    assert levels.max() <= 15
    groups = weight.view(64, 2, 32)
    ours = (levels.view(64, 2, 32) - 8) * scale[..., None] + zero[..., None] - groups
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    step = (high - low) / 15
    plain = ((groups - low) / step).round() * step + low - groups
    assert ours.square().sum() < plain.square().sum()


@pytest.mark.skipif(not has_int4(), reason="this torch has no int4 here")
def test_many_rows_say_in_int4_what_a_few_say() -> None:
    """Where the order of packed weights is known, many rows are multiplied by unpacked ones."""
    random = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(200, 96, generator=random), torch.randn(200, generator=random)
    x = torch.randn(MANY + 1, 96, generator=random).to(torch.bfloat16)
    layer = Int4Linear(weight, bias, torch.float32)
    assert error(layer(x), torch.cat((layer(x[:9]), layer(x[9:])))) < 0.01


@pytest.mark.skipif(not has_int4(), reason="this torch has no int4 here")
def test_an_unknown_order_of_int4_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = torch.ops.aten._convert_weight_to_int4pack_for_cpu
    monkeypatch.setattr(torch.ops.aten, "_convert_weight_to_int4pack_for_cpu", lambda *a: pack(*a).flip(1))
    int4_is_blocked.cache_clear()
    assert not int4_is_blocked()
    layer, x = Int4Linear(torch.eye(96), None, torch.float32), torch.ones(MANY + 1, 96)
    assert layer(x).shape == x.shape
    int4_is_blocked.cache_clear()


def test_what_is_taken_for_what() -> None:
    weight = torch.randn(1024, 1024)
    assert isinstance(make_linear(weight, bias=None, dtype=torch.float32, precision="fp32"), PlainLinear)
    if has_int8():
        assert isinstance(make_linear(weight, bias=None, dtype=torch.bfloat16, precision="int8"), Int8Linear)
        assert isinstance(
            make_linear(weight[:, :1000], bias=None, dtype=torch.bfloat16, precision="int4"), Int8Linear
        ), "1000 % 32 != 0"
    if has_int4():
        assert isinstance(make_linear(weight, bias=None, dtype=torch.bfloat16, precision="int4"), Int4Linear)
        small = make_linear(weight[:, : NARROW - 32], bias=None, dtype=torch.bfloat16, precision="int4")
        assert isinstance(small, Int8Linear), "no slower, more exact, and there is little memory to save"
