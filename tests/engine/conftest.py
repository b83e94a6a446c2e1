"""Fixtures of the engine's runtime tests: a tiny random model with a byte vocabulary, in memory and as a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine.decoder.config import GPTConfig
from engine.decoder.model import GPT, init_weights
from engine.files.model_folder import LoadedModel, save
from engine.run.compiled.host import OFF, target
from engine.text.chat_template import CHATML, SPECIAL_TOKENS, ChatTemplate
from engine.text.tokenizer_files import load_tokenizer
from training.data.tokenizer import tokenizer_json

TINY = GPTConfig(vocab_size=259, context_length=256, n_layer=2, n_head=4, n_kv_head=2, head_dim=8, d_model=32, d_ff=64)


@pytest.fixture
def without_compiled_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a processor or system that the wheel has no machine code for: torch does it all."""
    monkeypatch.setenv(OFF, "1")
    target.cache_clear()
    yield
    target.cache_clear()


@pytest.fixture(scope="session")
def byte_tokenizer_json() -> dict:
    return tokenizer_json({bytes([byte]): byte for byte in range(256)})


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, byte_tokenizer_json: dict) -> Path:
    """A complete model folder with random weights; one token a byte."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model = GPT(TINY)
    init_weights(model, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.embedding.weight.mul_(20)  # livelier logits than a fresh model's, so that ties decide nothing
    save(folder, model, byte_tokenizer_json, CHATML, generation={}, training={"name": "tiny"}, card="# tiny\n")
    return folder


@pytest.fixture
def tiny(byte_tokenizer_json: dict, tiny_folder: Path) -> LoadedModel:
    """The same model in memory; it never ends a reply by itself, so that lengths are known."""
    from engine.files.model_folder import load

    loaded = load(tiny_folder)
    tokenizer = load_tokenizer(tiny_folder)
    assert set(SPECIAL_TOKENS) == set(tokenizer.special_tokens)
    return LoadedModel("tiny", loaded.model, tokenizer, ChatTemplate(tokenizer), frozenset())
