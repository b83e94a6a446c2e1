"""GGUF files: every architecture and block format against transformers, and files that lie."""

from __future__ import annotations

import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ModelFolderError
from engine.files.gguf_file import FORMATS, GGUFFile
from engine.files.weights import check, fill
from tests.engine.gguf_writing import QUANTS, write_gguf
from tests.engine.test_parity import PEERS, shake, tokens

# Our names of transformers' models → llama.cpp's of their architecture.
KINDS = {
    "gpt2": "gpt2",
    "gpt2-inner": "gpt2",
    "llama2": "llama",
    "llama3.2": "llama",
    "llama-linear": "llama",
    "llama-biases": "llama",
    "smollm2": "llama",
    "mistral-whole": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3-untied": "qwen3",
    "gemma3-pattern": "gemma3",
}


def peer(name: str) -> Any:
    torch.manual_seed(0)
    return shake(PEERS[name]().eval())


def opened(path: Path) -> Any:
    file = GGUFFile(path)
    return fill(file.config, file.tensors(), torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("name", KINDS)
def test_logits_equal_transformers(name: str, tmp_path: Path) -> None:
    theirs = peer(name)
    ours = opened(write_gguf(tmp_path / "m.gguf", theirs, KINDS[name]))
    ids = torch.tensor([tokens(100)])
    with torch.no_grad():
        assert (ours(ids) - theirs(ids).logits).abs().max() < 1e-4


@pytest.mark.parametrize("quant", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_block_formats_that_the_package_writes(quant: str, tmp_path: Path) -> None:
    theirs = peer("wide-qwen3")
    ours = opened(write_gguf(tmp_path / "m.gguf", theirs, "qwen3", QUANTS[quant]))
    expected = theirs.state_dict()["model.layers.1.mlp.down_proj.weight"].float()
    rounded = torch.from_numpy(gguf.dequantize(gguf.quantize(expected.numpy(), QUANTS[quant]), QUANTS[quant]))
    assert torch.equal(ours.blocks[1].mlp.down.weight, rounded)
    assert 0 < (rounded - expected).norm() / expected.norm() < 0.12


@pytest.mark.parametrize("quant", ["Q4_K", "Q5_K", "Q6_K"])
def test_block_formats_that_it_only_reads(quant: str, tmp_path: Path) -> None:
    """Random blocks; their scales are made ordinary numbers, for random halves may be infinite."""
    kind = QUANTS[quant]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = np.random.default_rng(0).integers(0, 256, (256, size), dtype=np.uint8)
    halves = slice(size - 2, size) if quant == "Q6_K" else slice(0, 4)
    blocks[:, halves] = np.frombuffer(np.float16([0.01] * ((halves.stop - halves.start) // 2)).tobytes(), np.uint8)
    theirs = peer("wide-qwen3")
    path = write_gguf(tmp_path / "m.gguf", theirs, "qwen3")
    writer_name = "blk.0.ffn_down.weight"
    reader = gguf.GGUFReader(path)
    shape = next(t.shape.tolist() for t in reader.tensors if t.name == writer_name)
    assert shape == [256, 256]
    stored = _one_tensor(tmp_path / "one.gguf", writer_name, blocks, kind)
    assert torch.equal(stored, torch.from_numpy(gguf.dequantize(blocks, kind)))


def _one_tensor(path: Path, name: str, blocks: np.ndarray, kind: Any) -> torch.Tensor:
    from engine.files.gguf_file import _stored

    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_tensor(name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = gguf.GGUFReader(path).tensors[0]
    stored = _stored(path, tensor)
    rows = stored.rows(torch.tensor([[3, 255], [0, 3]]))
    assert torch.equal(rows[0, 1], stored.read()[255]), "rows are read without the rest"
    return stored.read()


def test_formats_are_those_promised() -> None:
    assert set(FORMATS) <= {kind.name for kind in QUANTS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    metadata = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": ["a", "b"], "general.flag": True}
    return write_gguf(tmp_path_factory.mktemp("g") / "m.gguf", peer("qwen3"), "qwen3", metadata=metadata).read_bytes()


def examine(path: Path) -> None:
    file = GGUFFile(path)
    check(file.config, file.tensors())


def refuse(path: Path, data: bytes) -> str:
    """What opening `data` says, which has to be a sentence and quick."""
    path.write_bytes(data)
    began = time.perf_counter()
    with pytest.raises(ModelFolderError) as caught:
        examine(path)
    assert time.perf_counter() - began < 2
    return str(caught.value)


@pytest.mark.parametrize("length", [0, 3, 4, 20, 24, 60, 500, 2000])
def test_truncated(whole: bytes, length: int, tmp_path: Path) -> None:
    assert "cut short or damaged" in refuse(tmp_path / "m.gguf", whole[:length])


def test_truncated_in_the_tensors(whole: bytes, tmp_path: Path) -> None:
    assert "cut short or damaged" in refuse(tmp_path / "m.gguf", whole[:-1000])


@pytest.mark.parametrize("offset", [8, 16], ids=["tensors", "keys"])
@pytest.mark.parametrize("count", [2**60, 2**64 - 1, 10**6])
def test_counts_that_lie(whole: bytes, offset: int, count: int, tmp_path: Path) -> None:
    refuse(tmp_path / "m.gguf", whole[:offset] + struct.pack("<Q", count) + whole[offset + 8 :])


def test_other_architectures_and_what_is_missing(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", peer("qwen3"), "qwen3")
    data = path.read_bytes()
    assert "qwen9" in refuse(path, data.replace(b"qwen3", b"qwen9"))
    message = refuse(path, data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_z.weight"))
    assert "missing: blocks.1.attention.q.weight" in message
    assert "unexpected: blocks.1.attn_z.weight" in message
    assert "block_count is missing" in refuse(path, data.replace(b"qwen3.block_count", b"qwen3.block_kount"))


def test_nan_weights_are_named(tmp_path: Path) -> None:
    theirs = peer("qwen3")
    theirs.model.layers[1].mlp.up_proj.weight.data[3, 3] = float("nan")
    file = GGUFFile(write_gguf(tmp_path / "m.gguf", theirs, "qwen3"))
    with pytest.raises(ModelFolderError, match=r"blocks\.1\.mlp\.up\.weight holds values that are not numbers"):
        fill(file.config, file.tensors(), torch.device("cpu"), torch.float32)


@settings(max_examples=150, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 1500), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4))
def test_damaged_headers_are_sentences(whole: bytes, tmp_path_factory: pytest.TempPathFactory, edits: list) -> None:
    data = bytearray(whole)
    for at, replacement in edits:
        data[at : at + len(replacement)] = replacement
    path = tmp_path_factory.getbasetemp() / "fuzzed.gguf"
    path.write_bytes(bytes(data))
    began = time.perf_counter()
    with suppress(ModelFolderError):
        examine(path)
    assert time.perf_counter() - began < 2
