"""Hugging Face folders: transformers opens what is written, with equal logits, ids and chats."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from engine.catalog import BUNDLED
from engine.decoder.config import GPTConfig
from engine.decoder.lora import LoRAConfig, attach, lora_layers
from engine.decoder.model import GPT, init_weights
from engine.files.adapter import save_adapter
from engine.files.model_folder import load
from engine.files.writing import shape_and_weights, write_folder
from engine.run.classifier import Classifier, ClassifierConfig, save_classifier
from engine.text.chat_template import CHATML
from tests.engine.test_tokenizer import TORTURE
from tests.training.export_setup import FAMILIES, make_folder
from training.data.tokenizer import tokenizer_json
from training.export import hugging_face
from training.export.families import ExportError, config_json, family_of
from training.export.gguf_export import export_gguf
from training.export.hugging_face import export_hugging_face

SMALL = GPTConfig(vocab_size=259, context_length=128, n_layer=2, n_head=4, n_kv_head=2, head_dim=8, d_model=32, d_ff=64)
PLAIN = replace(SMALL, qk_norm=False)
GPT2 = replace(
    SMALL, n_kv_head=4, norm="layer", mlp="gelu", position="learned", qk_norm=False, norm_eps=1e-5,
    attention_bias=True, output_bias=True, mlp_bias=True,
)  # fmt: skip
SHAPES = {
    "gpt2": GPT2,
    "qwen3": SMALL,
    "llama": PLAIN,
    "qwen2": replace(PLAIN, attention_bias=True),
    "mistral": replace(PLAIN, local_layers=(True, True), window=16),
    "gemma3_text": replace(
        SMALL, mlp="geglu", post_norms=True, embedding_scale=32**0.5, attention_scale=8**-0.5,
        local_layers=(True, False), window=16, local_rope_theta=10_000.0, rope_theta=1e6,
    ),
}  # fmt: skip


def random_model(config: GPTConfig) -> GPT:
    model = GPT(config)
    generator = torch.Generator().manual_seed(0)
    init_weights(model, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def own_folder(folder: Path, model: GPT) -> Path:
    """As a stage of the lab writes a model of any shape: under our own names, where it is not Qwen3's."""
    data, weights = shape_and_weights(model.config, model.state_dict())
    tokenizer = tokenizer_json({bytes([byte]): byte for byte in range(256)})
    documents = {
        "config.json": {**data, "task": "chat", "eos_token_id": 258},
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": {"chat_template": CHATML},
        "training.json": {"name": "own", "licence": "Apache-2.0"},
    }
    write_folder(folder, documents, {"README.md": "# own\n"}, {"model.safetensors": weights})
    return folder


def difference(ours: Any, folder: Path) -> float:
    """The largest one between logits."""
    theirs = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(3, 250, (2, 60), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return float((ours(ids) - theirs(ids).logits).abs().max())


@pytest.mark.parametrize("kind", SHAPES)
def test_our_own_shapes_open_in_transformers(kind: str, tmp_path: Path) -> None:
    model = random_model(SHAPES[kind])
    out = export_hugging_face(own_folder(tmp_path / "own", model), tmp_path / "out", "f32")
    assert family_of(model.config).kind == kind
    assert difference(model, out) < 1e-4
    tokenizer = hf.AutoTokenizer.from_pretrained(out)
    ours = load(out)
    for text in TORTURE:
        plain = text.replace("<|", "< |")
        if kind == "qwen2" and "e\u0301" in text:
            continue  # transformers composes characters for this model type, whatever the tokenizer's own file says
        assert tokenizer.encode(plain, add_special_tokens=False) == ours.tokenizer.encode(plain)
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    assert ours.template is not None
    theirs = tokenizer.apply_chat_template(messages, tokenize=False)
    assert tokenizer.encode(theirs, add_special_tokens=False) == ours.template.encode(messages)
    assert tokenizer.eos_token == "<|im_end|>"
    assert (out / "README.md").read_text() == "# own\n"


@pytest.mark.parametrize("kind", SHAPES)
def test_the_same_shapes_as_gguf(kind: str, tmp_path: Path) -> None:
    model = random_model(SHAPES[kind])
    if kind == "gemma3_text":
        with pytest.raises(ExportError, match="which of its layers see a window only"):
            export_gguf(own_folder(tmp_path / "own", model), tmp_path / "m.gguf", "f32")
        return
    notes = export_gguf(own_folder(tmp_path / "own", model), tmp_path / "m.gguf", "f32")
    assert (len(notes) == 1) == (kind == "mistral"), "its window becomes the context"
    ids = torch.randint(3, 250, (1, 16), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert (load(tmp_path / "m.gguf").model(ids) - model(ids)).abs().max() < 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_folders_that_were_theirs_before(name: str, tmp_path: Path) -> None:
    folder, peer = make_folder(name, tmp_path / "theirs")
    out = export_hugging_face(folder, tmp_path / "out", "f32")
    assert difference(lambda ids: peer(ids).logits, out) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "qwen3", "llama3"])
def test_adapters_are_merged(name: str, tmp_path: Path) -> None:
    base, _ = make_folder(name, tmp_path / "base")
    model, config = load(base).model, LoRAConfig(rank=4)
    attach(model, config)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.b, 0, 0.03)
    kind = json.loads((base / "config.json").read_text())["model_type"]
    save_adapter(
        tmp_path / "lora", model, config, base="base", architecture=kind, training={"name": "mine"}, card="#\n"
    )
    out = export_hugging_face(tmp_path / "lora", tmp_path / "out", "f32")
    assert difference(model, out) < 1e-4
    assert difference(load(base).model, out) > 1e-2, "it does something"
    assert json.loads((out / "training.json").read_text())["name"] == "mine"
    export_gguf(tmp_path / "lora", tmp_path / "m.gguf", "f32")
    ids = torch.randint(3, 250, (1, 30), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert (load(tmp_path / "m.gguf").model(ids) - model(ids)).abs().max() < 1e-4


def test_large_models_come_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hugging_face, "SHARD", 20_000)
    model = random_model(SMALL)
    out = export_hugging_face(own_folder(tmp_path / "own", model), tmp_path / "out", "f32")
    assert len(list(out.glob("model-*-of-*.safetensors"))) > 2
    assert difference(model, out) < 1e-4
    ids = torch.randint(3, 250, (1, 30))
    with torch.no_grad():
        assert torch.equal(load(out).model(ids), model(ids))


@pytest.mark.parametrize("shape", ["qwen3", "gpt2"])
def test_classifiers_open_in_transformers(shape: str, tmp_path: Path) -> None:
    model = Classifier(random_model(SHAPES[shape]), ClassifierConfig(("ham", "spam"), context=64)).eval()
    torch.nn.init.normal_(model.score.weight)
    files = {"tokenizer.json": json.dumps(tokenizer_json({bytes([byte]): byte for byte in range(256)}))}
    save_classifier(tmp_path / "c", model, files, training={"name": "c"}, card="# c\n")
    out = export_hugging_face(tmp_path / "c", tmp_path / "out", "f32")
    theirs = hf.AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float32).eval()
    ids = torch.randint(3, 250, (1, 30))
    with torch.no_grad():
        ours = model(ids, torch.tensor([30]))
        assert (ours - theirs(ids).logits).abs().max() < 1e-4
    assert theirs.config.id2label == {0: "ham", 1: "spam"}
    with pytest.raises(ExportError, match="another task"):
        export_gguf(tmp_path / "c", tmp_path / "m.gguf")


def test_shapes_that_are_nobodys_are_refused() -> None:
    with pytest.raises(ExportError, match="belongs to no family"):
        family_of(replace(SMALL, norm="layer"))
    config = replace(SMALL, rope_divisors=(1.0, 2.0, 3.0, 4.0))
    with pytest.raises(ExportError, match="like qwen3 but for rope_divisors"):
        config_json(config, family_of(config))


def test_gguf_does_not_go_back(tmp_path: Path) -> None:
    export_gguf(BUNDLED / "homespun-v0", tmp_path / "m.gguf", "q8_0")
    with pytest.raises(ExportError, match="Export the folder that it was made from"):
        export_hugging_face(tmp_path / "m.gguf", tmp_path / "out")
    export_gguf(tmp_path / "m.gguf", tmp_path / "again.gguf", "q8_0")
    again, once = load(tmp_path / "again.gguf"), load(tmp_path / "m.gguf")
    ours, theirs = again.model.state_dict(), once.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.tokenizer.encode(TORTURE[0]) == once.tokenizer.encode(TORTURE[0])


def test_the_bundled_model_in_its_own_precision(tmp_path: Path) -> None:
    source = BUNDLED / "homespun-v0"
    out = export_hugging_face(source, tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert difference(load(source).model, out) < 1e-4
    assert asdict(load(source).model.config) == asdict(load(out).model.config)
