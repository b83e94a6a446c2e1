"""Weight files of every packaging, loaded straight into their precision; what is wrong with them is named."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from engine.catalog import read_json
from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT
from engine.errors import ModelFolderError
from engine.files.architectures import find_architecture, from_hugging_face
from engine.files.stored import read_safetensors, read_weights
from engine.files.weights import check, fill, fill_fused
from engine.run.device import PRECISIONS
from engine.run.generate_steps import prefill
from engine.run.linear_int import has_int4, has_int8
from engine.run.processor import has_bf16, has_vnni
from tests.engine.test_parity import PEERS, shake, tokens

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def peer() -> Any:
    torch.manual_seed(0)
    return shake(PEERS["llama3.2"]().eval())


def opened(folder: Path) -> GPT:
    data = read_json(folder / "config.json")
    return fill(from_hugging_face(data), find_architecture(data).rename(read_weights(folder)), CPU, torch.float32)


def load_fast(folder: Path) -> Any:
    data = read_json(folder / "config.json")
    weights = find_architecture(data).rename(read_weights(folder))
    return fill_fused(from_hugging_face(data), weights, CPU, torch.float32, "fp32")


@pytest.mark.parametrize("packaging", ["one", "sharded", "bin", "bin-sharded", "bin-old"])
def test_every_packaging_gives_the_same_logits(peer: Any, packaging: str, tmp_path: Path) -> None:
    peer.save_pretrained(tmp_path, max_shard_size="40kB" if packaging == "sharded" else "1GB")
    state = load_file(tmp_path / "model.safetensors") if packaging != "sharded" else {}
    if packaging.startswith("bin"):
        (tmp_path / "model.safetensors").unlink()
        old = {"_use_new_zipfile_serialization": packaging != "bin-old"}
        names = sorted(state)
        halves = [names[:7], names[7:]] if packaging == "bin-sharded" else [names]
        files = ["pytorch_model.bin"] if len(halves) == 1 else ["a.bin", "b.bin"]
        for file, part in zip(files, halves, strict=True):
            torch.save({name: state[name] for name in part}, tmp_path / file, **old)
        where = {name: file for file, part in zip(files, halves, strict=True) for name in part}
        if len(halves) > 1:
            (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))
    else:
        assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (packaging == "sharded")
    ids = torch.tensor([tokens(50)])
    with torch.no_grad():
        assert (opened(tmp_path)(ids) - peer(ids).logits).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["llama3.2", "gemma3", "gpt2", "qwen3-untied", "qwen2-window"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_loading_straight_into_a_precision(name: str, precision: Any, tmp_path: Path) -> None:
    if (precision == "int8" and not has_int8()) or (precision == "int4" and not has_int4()):
        pytest.skip(f"this torch has no {precision} here")
    torch.manual_seed(0)
    peer = shake(PEERS[name]().eval())
    peer.save_pretrained(tmp_path)
    data = read_json(tmp_path / "config.json")
    weights = find_architecture(data).rename(read_weights(tmp_path))
    model = fill_fused(from_hugging_face(data), weights, CPU, PRECISIONS[precision], precision)
    ids = tokens(40)
    logits = prefill(model, ids, KVCache(model.config, dtype=torch.float32))
    with torch.no_grad():
        expected = peer(torch.tensor([ids])).logits[0, -1]
    error = (logits.float() - expected).norm() / expected.norm()
    # Random weights of this size are harder on rounding than a trained model's; the bounds keep mix-ups out.
    # Without VNNI inputs are rounded to 7 bits; with bf16 torch's small layers that read many do not round them at all.
    int8 = 0.08 if has_vnni() and has_bf16() else 0.16
    assert error < {"fp32": 1e-5, "bf16": 0.08, "int8": int8, "int4": 0.45}[precision]
    assert model.parameter_count() == sum(p.numel() for p in peer.parameters())


@pytest.fixture
def folder(peer: Any, tmp_path: Path) -> Path:
    peer.save_pretrained(tmp_path)
    return tmp_path


def resave(folder: Path, **changes: torch.Tensor | None) -> None:
    state = load_file(folder / "model.safetensors") | {k.replace("__", "."): v for k, v in changes.items()}
    save_file({k: v for k, v in state.items() if v is not None}, folder / "model.safetensors")


def test_missing_unexpected_and_misshapen_tensors_are_named(folder: Path) -> None:
    resave(
        folder, model__norm__weight=None, model__layers__0__mlp__up_proj__weight=torch.ones(3, 3), extra=torch.ones(1)
    )
    with pytest.raises(ModelFolderError) as caught:
        opened(folder)
    for part in ("missing: norm.weight", "unexpected: .extra", "of the wrong shape: blocks.0.mlp.up.weight"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["model.norm", "model.embed_tokens", "model.layers.1.mlp.up_proj"])
def test_numbers_that_are_none_are_named(folder: Path, peer: Any, name: str) -> None:
    bad = peer.get_parameter(f"{name}.weight").detach().clone()
    bad.view(-1)[3] = float("inf")
    resave(folder, **{f"{name}.weight".replace(".", "__"): bad})
    for opening in (lambda: opened(folder), lambda: load_fast(folder)):
        with pytest.raises(ModelFolderError, match=r"weight holds values that are not numbers"):
            opening()


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/homespun-was-here",)


def test_a_pickle_is_never_run(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Evil()}))
    with pytest.raises(ModelFolderError, match="cannot be read"):
        opened(folder)
    torch.save({"x": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        opened(folder)
    assert not Path("/tmp/homespun-was-here").exists()
    torch.save([1, 2], folder / "pytorch_model.bin")
    with pytest.raises(ModelFolderError, match="something else than named tensors"):
        opened(folder)


def test_an_index_that_points_elsewhere_or_at_nothing(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = folder / "model.safetensors.index.json"
    for content, expected in (
        ({"weight_map": {"a": "../part.safetensors"}}, "not in its own folder"),
        ({"weight_map": {"a": "gone.safetensors"}}, "cannot be read"),
        ({"weight_map": {"a": "part.safetensors"}}, "do not have: a"),
        ({"weight_map": 3}, "cannot be read"),
        ({}, "cannot be read"),
    ):
        index.write_text(json.dumps(content))
        with pytest.raises(ModelFolderError, match=expected):
            opened(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"{}x",
        struct.pack("<Q", 20) + b"{" * 20,
    ],
)
def test_headers_that_lie(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(data)
    began = time.perf_counter()
    try:
        assert read_safetensors(tmp_path / "m.safetensors") == {}, "nothing in it, and that is not damage"
    except ModelFolderError as error:
        assert "cannot be read" in str(error)  # noqa: PT017 - one of both has to hold
    assert time.perf_counter() - began < 2


@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4))
def test_damaged_headers_are_sentences(peer: Any, tmp_path_factory: pytest.TempPathFactory, edits: list) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    if not folder.exists():
        peer.save_pretrained(folder)
        (folder / "model.safetensors").rename(folder / "whole")
    data = bytearray((folder / "whole").read_bytes())
    for at, replacement in edits:
        data[at : at + len(replacement)] = replacement
    (folder / "model.safetensors").write_bytes(bytes(data))
    config = read_json(folder / "config.json")
    try:
        check(from_hugging_face(config), find_architecture(config).rename(read_weights(folder)))
    except ModelFolderError as error:
        assert str(error).endswith(".")  # noqa: PT017 - a damaged byte may also hit nothing that matters


ODD_CONFIGS = [
    {"num_hidden_layers": 2**60},
    {"num_hidden_layers": 0},
    {"hidden_size": "many"},
    {"vocab_size": None},
    {"num_attention_heads": 0},
    {"num_key_value_heads": 4},
    {"head_dim": 7},
    {"rope_theta": float("nan"), "rope_parameters": None},
    {"rope_parameters": {"rope_type": "mystery", "rope_theta": 1.0}},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0}},
    {"hidden_act": "relu6"},
    {"model_type": "rwkv"},
    {"model_type": ["llama"]},
]


@pytest.mark.parametrize("change", ODD_CONFIGS, ids=str)
def test_configs_that_describe_no_model_are_sentences(folder: Path, change: dict) -> None:
    config = read_json(folder / "config.json") | change
    (folder / "config.json").write_text(json.dumps(config))
    began = time.perf_counter()
    with pytest.raises(ModelFolderError):
        opened(folder)
    assert time.perf_counter() - began < 2


MEASURE = """
import re, sys, threading, time
from pathlib import Path
from engine.files.architectures import find_architecture, from_hugging_face
from engine.catalog import read_json
from engine.run.device import PRECISIONS
from engine.files.stored import read_weights
from engine.files.weights import fill_fused
import torch

def own():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

folder, precision = Path(sys.argv[1]), sys.argv[2]
data = read_json(folder / "config.json")
weights = find_architecture(data).rename(read_weights(folder))
torch.ones(64, 64) @ torch.ones(64, 64)
before, peak, on = own(), [0], [True]
def watch():
    while on[0]:
        peak[0] = max(peak[0], own())
        time.sleep(0.001)
thread = threading.Thread(target=watch); thread.start()
model = fill_fused(from_hugging_face(data), weights, torch.device("cpu"), PRECISIONS[precision], precision)
on[0] = False; thread.join()
print(peak[0] - before, model.parameter_count())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("precision", "size"), [("bf16", 2), ("int8", 1)])
def test_peak_memory_is_little_above_the_weights(precision: str, size: int, tmp_path: Path) -> None:
    """Of a model of 111M stored in fp32, 445 MB in its file, only what it becomes is ever in memory."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=8000,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=15,
        num_attention_heads=12,
        num_key_value_heads=12,
        tie_word_embeddings=True,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    result = subprocess.run([sys.executable, "-c", MEASURE, tmp_path, precision], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    peak, parameters = map(int, result.stdout.split())
    padded = precision == "int8" and not has_vnni()  # FBGEMM for AVX2 fills inputs up to a multiple of 512: 768 → 1,024
    assert peak < 1.3 * size * parameters * (4 / 3 if padded else 1)
