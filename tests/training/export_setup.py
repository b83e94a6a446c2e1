"""Model folders of every family with tiny random weights and a small learned vocabulary, and llama.cpp beside ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf

from engine.decoder.kv_cache import KVCache
from engine.decoder.model import GPT
from engine.run.generate_steps import decode, prefill
from engine.text.chat_template import CHATML
from tests.engine.test_parity import GEMMA, LINEAR, LLAMA3_ROPE, SHAPE, gpt2, llama, qwen2, qwen3, shake
from tests.engine.test_vocabularies import learn

WIDE = {"hidden_size": 64, "head_dim": 16, "num_attention_heads": 4, "num_key_value_heads": 2}
GEMMA6 = {
    **GEMMA,
    **WIDE,
    "num_hidden_layers": 6,
    "query_pre_attn_scalar": 16,
    "layer_types": None,
    "sliding_window": 24,
}


def _gemma(**more: Any) -> Any:
    return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**(GEMMA6 | more)))


def _mistral(**more: Any) -> Any:
    return hf.MistralForCausalLM(hf.MistralConfig(**(SHAPE | WIDE | more)))


# name → (transformers' model for a vocabulary of so many tokens, kind of vocabulary)
FAMILIES: dict[str, tuple[Callable[..., Any], str]] = {
    "gpt2": (lambda **m: gpt2(n_embd=64, **m), "gpt2"),
    "qwen3": (lambda **m: qwen3(**WIDE, tie_word_embeddings=True, **m), "qwen2"),
    "qwen3-untied": (lambda **m: qwen3(**WIDE, tie_word_embeddings=False, **m), "qwen2"),
    "qwen2": (lambda **m: qwen2(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, **m), "qwen2"),
    "llama3": (lambda **m: llama(**WIDE, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True, **m), "llama3"),
    "llama-linear": (lambda **m: llama(**WIDE, rope_parameters=LINEAR, **m), "piece-prepend"),
    "llama-biases": (lambda **m: llama(**WIDE, attention_bias=True, mlp_bias=True, **m), "piece-first"),
    "smollm2": (lambda **m: llama(**WIDE, tie_word_embeddings=True, **m), "smollm"),
    "mistral": (lambda **m: _mistral(sliding_window=None, **m), "piece-first"),
    "gemma3": (_gemma, "piece-gemma"),
}


def make_folder(name: str, folder: Path) -> tuple[Path, Any]:
    """(a folder as one is downloaded, transformers' model that was written there)."""
    build, vocabulary = FAMILIES[name]
    data = learn(vocabulary)
    ids = [*data["model"]["vocab"].values(), *(token["id"] for token in data["added_tokens"])]
    begin, end = (1, 2) if vocabulary.startswith("piece") else (0, 0)
    torch.manual_seed(0)
    size = -(-(max(ids) + 1) // 64) * 64  # rows without a token, as many models have
    peer = shake(build(vocab_size=size, bos_token_id=begin, eos_token_id=end).eval())
    peer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": CHATML}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder, peer


def greedy(model: GPT, prompt: list[int], count: int) -> list[int]:
    """Our own `count` likeliest tokens, one after the other."""
    cache = KVCache(model.config, capacity=len(prompt) + count)
    logits, said = prefill(model, prompt, cache), []
    for _ in range(count):
        assert logits is not None
        said.append(int(logits.argmax()))
        logits = decode(model, said[-1], cache)
    return said


class LlamaCpp:
    """llama.cpp with one file open."""

    def __init__(self, path: Path) -> None:
        import llama_cpp

        self.llm = llama_cpp.Llama(str(path), n_ctx=256, logits_all=True, verbose=False, n_threads=1)

    def ids(self, text: str) -> list[int]:
        return list(self.llm.tokenize(text.encode(), add_bos=False, special=False))

    def logits(self, tokens: list[int]) -> np.ndarray:
        self.llm.reset()
        self.llm.eval(tokens)
        return np.array(self.llm.scores[: len(tokens)])

    def greedy(self, prompt: list[int], count: int) -> list[int]:
        said: list[int] = []
        self.llm.reset()
        self.llm.eval(prompt)
        for _ in range(count):
            said.append(int(self.llm.scores[self.llm.n_tokens - 1].argmax()))
            self.llm.eval(said[-1:])
        return said
