from __future__ import annotations

import pytest
import torch

from engine.errors import DeviceError
from engine.run import device


def test_cpu_is_always_there_and_the_note_says_so() -> None:
    place = device.choose("cpu", "fp32")
    assert (place.device.type, place.dtype) == ("cpu", torch.float32)
    assert place.note.startswith("CPU")
    assert "fp32" in place.note


def test_auto_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available", lambda: ["mps", "cpu"])
    place = device.choose()
    assert place.device.type == "mps"
    assert "Apple" in place.note


def test_rounded_weights_get_fp32_around_them_where_bf16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    if not device.has_int8():
        pytest.skip("this torch has no int8 here")
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(device, "fast_bf16", lambda name, native=native: native)
        place = device.choose("cpu")
        assert (place.precision, place.dtype) == ("int8", dtype)


def test_bf16_is_kept_as_fp16_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    if not device.has_half():
        pytest.skip("this torch has no fp16 weights here")
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(device, "fast_bf16", lambda name, native=native: native)
        place = device.choose("cpu", "bf16")
        assert (place.precision, place.dtype) == ("bf16", dtype)
        assert ("fp16" in place.note) != native


@pytest.mark.parametrize(("name", "precision"), [("tpu", "auto"), ("cpu", "int3")])
def test_unknown_wishes_are_refused(name: str, precision: str) -> None:
    with pytest.raises(DeviceError, match="choose"):
        device.choose(name, precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="no cuda device"):
        device.choose("cuda")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_runs_the_decoder() -> None:
    from engine.decoder.config import GPTConfig
    from engine.decoder.model import GPT, init_weights

    model = GPT(GPTConfig(vocab_size=64, n_layer=2)).cuda()
    init_weights(model)
    tokens = torch.arange(8)[None]
    torch.testing.assert_close(model(tokens.cuda()).cpu(), model.cpu()(tokens), atol=1e-3, rtol=1e-3)
