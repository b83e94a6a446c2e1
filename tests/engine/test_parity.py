"""Every architecture with tiny random weights, opened by us and by transformers: equal logits, equal greedy text."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from engine.catalog import read_json
from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT
from engine.files.architectures import find_architecture, from_hugging_face
from engine.files.stored import read_weights
from engine.files.weights import fill
from engine.run.fuse import fuse
from engine.run.generate_steps import decode, prefill

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"vocab_size": 300, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 256, "initializer_range": 0.3}
NO_HEAD_DIM = {key: value for key, value in SHAPE.items() if key != "head_dim"}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
GEMMA = {
    **SHAPE,
    "num_hidden_layers": 4,
    "sliding_window": 16,
    "query_pre_attn_scalar": 24,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
}


def llama(**more: Any) -> Any:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**(SHAPE | more)))


def qwen2(**more: Any) -> Any:
    return hf.Qwen2ForCausalLM(hf.Qwen2Config(**(NO_HEAD_DIM | more)))


def qwen3(**more: Any) -> Any:
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(**(SHAPE | more)))


def gpt2(**more: Any) -> Any:
    return hf.GPT2LMHeadModel(hf.GPT2Config(**(GPT2 | more)))


PEERS: dict[str, Any] = {
    "qwen3": lambda: qwen3(tie_word_embeddings=True),
    "qwen3-untied": lambda: qwen3(tie_word_embeddings=False),
    "qwen3-biases": lambda: qwen3(attention_bias=True),
    "qwen3-theta": lambda: qwen3(rope_theta=1_000_000.0),
    "qwen3-yarn": lambda: qwen3(rope_parameters=YARN),
    "qwen2": lambda: qwen2(tie_word_embeddings=True),
    "qwen2-window": lambda: qwen2(use_sliding_window=True, sliding_window=16, max_window_layers=1),
    "llama2": lambda: llama(num_key_value_heads=6),
    "llama3.2": lambda: llama(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True),
    "llama-linear": lambda: llama(rope_parameters=LINEAR),
    "llama-biases": lambda: llama(attention_bias=True, mlp_bias=True),
    "smollm2": lambda: llama(tie_word_embeddings=True, num_attention_heads=3, num_key_value_heads=1),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SHAPE, sliding_window=16)),
    "mistral-whole": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SHAPE, sliding_window=None)),
    "gemma3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**GEMMA)),
    "gemma3-scaled": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(
            **GEMMA,
            rope_parameters={
                "full_attention": {**LINEAR, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        )
    ),
    # As GGUF files have it: five local layers and a global one, q·k by the heads' width.
    "gemma3-pattern": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(**{**SHAPE, "num_hidden_layers": 7}, sliding_window=16, query_pre_attn_scalar=16)
    ),
    "wide-qwen3": lambda: qwen3(hidden_size=256, intermediate_size=256, num_hidden_layers=2),
    "gpt2": lambda: gpt2(),
    "gpt2-inner": lambda: gpt2(n_inner=100),
    # The four sizes' proportions: heads of 64, as many as 12, 16, 20 and 25.
    **{
        f"gpt2-{heads}-heads": lambda heads=heads: gpt2(
            n_head=heads, n_embd=64 * heads, n_layer=2, initializer_range=0.1
        )
        for heads in (12, 16, 20, 25)
    },
}


def shake(peer: Any) -> Any:
    """Biases and norms are born as zeros and ones, which would hide a mix-up."""
    with torch.no_grad():
        for parameter in peer.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return peer


@pytest.fixture(scope="module", params=PEERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[GPT, Any]:
    torch.manual_seed(0)
    peer = shake(PEERS[request.param]().eval())
    folder = tmp_path_factory.mktemp(request.param)
    peer.save_pretrained(folder)
    return open_folder(folder), peer


def open_folder(folder: Path) -> GPT:
    data = read_json(folder / "config.json")
    weights = find_architecture(data).rename(read_weights(folder))
    return fill(from_hugging_face(data), weights, torch.device("cpu"), torch.float32)


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
    fused = fuse(copy.deepcopy(ours))
    assert continue_cached(fused, prompt, 7) == expected, "fused layers say the same"


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
