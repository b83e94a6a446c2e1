"""Model folders: what we write opens elsewhere, and what is broken is a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.catalog import describe, find, list_models, sampling_defaults
from engine.errors import ModelFolderError
from engine.files import writing
from engine.files.model_folder import load, save
from engine.protocol import SamplingParams
from engine.run.generate import Generator
from engine.text.chat_template import CHATML

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi there, 世界 👩‍👩‍👧"},
    {"role": "assistant", "content": "Hello!\n"},
    {"role": "user", "content": "  And?  "},
]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def test_transformers_opens_it_with_equal_logits_ids_and_chats(tiny_folder: Path) -> None:
    ours, theirs = load(tiny_folder), AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    assert ours.template is not None
    ids = ours.template.encode(CHAT, answer=True)
    assert ids == tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_dict=False)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.model(torch.tensor([ids])), theirs(torch.tensor([ids])).logits, atol=1e-4, rtol=0
        )
    assert tokenizer.eos_token_id in ours.end_tokens


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_a_sentence(folder: Path, name: str, share: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFolderError, match=name):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_garbage_is_a_sentence(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x00\xff garbage " * 50)
    with pytest.raises(ModelFolderError):
        load(folder)


@pytest.mark.parametrize("garbage", ["[]", "{}", '{"model_type": "qwen3"}', '{"model_type": "bert"}', "null"])
def test_a_config_of_something_else(folder: Path, garbage: str) -> None:
    (folder / "config.json").write_text(garbage)
    with pytest.raises(ModelFolderError):
        load(folder)


def test_tensors_that_do_not_fit_are_named(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["model.norm.weight"] = torch.ones(7)
    del state["model.layers.0.mlp.up_proj.weight"]
    state["model.strange"] = torch.ones(1)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelFolderError, match=r"missing: blocks\.0\.mlp\.up.*unexpected: .*strange.*shape: norm"):
        load(folder)


def test_a_tokenizer_larger_than_the_model_is_refused(folder: Path) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    data["added_tokens"].append({**data["added_tokens"][0], "id": 400, "content": "<|more|>"})
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(ModelFolderError, match="401 tokens"):
        load(folder)


def test_saving_is_whole_or_not_at_all(folder: Path, byte_tokenizer_json: dict, monkeypatch) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def full_disk(*args, **more) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save(folder, load(folder).model, byte_tokenizer_json, CHATML, generation={}, training={"name": "x"}, card="")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [file.name for file in folder.parent.iterdir()] == [folder.name], "nothing is left lying about"


def test_a_model_without_a_chat_template_completes(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = load(folder)
    assert loaded.template is None
    assert Generator(loaded).template.encode([{"role": "user", "content": "Once"}]) == list(b"Once")


def test_the_catalog(folder: Path) -> None:
    info = describe(folder)
    assert (info.name, info.context_length, info.bundled) == ("tiny", 256, False)
    assert find("copy", folder.parent).path == folder
    assert find(str(folder)).path == folder
    (folder.parent / "broken").mkdir()
    assert "tiny" in {i.name for i in list_models(folder.parent)}
    for name in ("nosuch", str(folder / "nowhere"), "broken", ""):
        with pytest.raises(ModelFolderError):
            find(name, folder.parent)


def test_a_models_own_sampling_settings(folder: Path) -> None:
    generation = folder / "generation_config.json"
    generation.write_text(json.dumps({"temperature": 0.3, "top_k": 20, "eos_token_id": 1}))
    assert sampling_defaults(folder) == SamplingParams(0.3, top_k=20)
    generation.write_text(json.dumps({"do_sample": False}))
    assert sampling_defaults(folder).temperature == 0
    for nonsense in ("{", '{"temperature": "hot"}', '{"top_p": 7}'):
        generation.write_text(nonsense)
        assert sampling_defaults(folder) == SamplingParams()


def test_a_model_is_called_as_its_folder_with_all_its_dots(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "Tiny-0.5-1.5B")
    assert load(tmp_path / "Tiny-0.5-1.5B").name == "Tiny-0.5-1.5B"
