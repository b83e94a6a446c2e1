"""GPT-2 and Qwen3 with tiny random weights, opened by us and by transformers: the same logits, the same greedy text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

from engine.catalog import read_json
from engine.config import from_hugging_face
from engine.generate import decode, prefill
from engine.kv_cache import KVCache
from engine.model import GPT
from engine.weights import KEY_MAPS, fill, read_safetensors

QWEN3 = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
}
GPT2 = {"vocab_size": 300, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 256, "initializer_range": 0.3}
PEERS: dict[str, Any] = {
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**QWEN3, tie_word_embeddings=True)),
    "qwen3-untied": lambda: Qwen3ForCausalLM(Qwen3Config(**QWEN3, tie_word_embeddings=False)),
    "qwen3-biases": lambda: Qwen3ForCausalLM(Qwen3Config(**QWEN3, attention_bias=True)),
    "qwen3-theta": lambda: Qwen3ForCausalLM(Qwen3Config(**QWEN3, rope_theta=1_000_000.0)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
    "gpt2-inner": lambda: GPT2LMHeadModel(GPT2Config(**GPT2, n_inner=100)),
}


@pytest.fixture(scope="module", params=PEERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[GPT, Any]:
    torch.manual_seed(0)
    peer = PEERS[request.param]().eval()
    with torch.no_grad():  # biases and norms are born as zeros and ones, which would hide a mix-up
        for parameter in peer.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    folder = tmp_path_factory.mktemp(request.param)
    peer.save_pretrained(folder)
    return open_folder(folder), peer


def open_folder(folder: Path) -> GPT:
    data = read_json(folder / "config.json")
    state = KEY_MAPS[data["model_type"]](read_safetensors(folder / "model.safetensors"))
    return fill(from_hugging_face(data), state, torch.device("cpu"), torch.float32)


def tokens(length: int) -> list[int]:
    return torch.randint(0, 300, (length,), generator=torch.Generator().manual_seed(length)).tolist()


@pytest.mark.parametrize("length", [1, 2, 17, 200])
def test_logits(pair: tuple[GPT, Any], length: int) -> None:
    ours, peer = pair
    ids = torch.tensor([tokens(length), tokens(length)[::-1]])
    with torch.no_grad():
        expected = peer(ids).logits
    assert (ours(ids) - expected).abs().max() < 1e-4


def test_64_greedy_tokens_with_and_without_cache_and_across_a_split_prefill(pair: tuple[GPT, Any]) -> None:
    ours, peer = pair
    prompt = tokens(20)
    ids = torch.tensor([prompt])
    options = {"max_new_tokens": 64, "min_new_tokens": 64, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    expected = peer.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, 20:].tolist()
    assert continue_plainly(ours, prompt) == expected
    for split in (0, 1, 7, 19):
        assert continue_cached(ours, prompt, split) == expected


def continue_plainly(model: GPT, prompt: list[int]) -> list[int]:
    said = list(prompt)
    with torch.inference_mode():
        for _ in range(64):
            said.append(int(model(torch.tensor([said]))[0, -1].argmax()))
    return said[len(prompt) :]


def continue_cached(model: GPT, prompt: list[int], split: int) -> list[int]:
    cache = KVCache(model.config, capacity=100)
    if split:
        prefill(model, prompt[:split], cache)
    logits = prefill(model, prompt[split:], cache)
    assert logits is not None
    said: list[int] = []
    for _ in range(64):
        said.append(int(logits.argmax()))
        logits = decode(model, said[-1], cache)
    return said
