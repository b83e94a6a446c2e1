"""From a file that somebody has to a reply: GGUF and Hugging Face, opened, checked and asked through the worker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.check import examine
from engine.errors import ModelFolderError
from engine.files.model_folder import load, load_fused
from engine.protocol import Delta, Done, Generate, Load, Loaded, SamplingParams, Shutdown, decode, encode
from engine.run.device import choose
from engine.run.generate import Generator
from tests.engine.gguf_writing import QUANTS, write_gguf
from tests.engine.test_chat_templates import BRACKETS
from tests.engine.test_vocabularies import as_gguf, learn

QUESTION = ({"role": "user", "content": "the dog and  "},)
GREEDY = SamplingParams(0.0, repetition_penalty=1.0, max_tokens=12)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same tiny Llama 2 as a Hugging Face folder and as a GGUF file."""
    torch.manual_seed(0)
    data = learn("piece-prepend")
    folder = tmp_path_factory.mktemp("llama")
    config = LlamaConfig(
        vocab_size=len(data["model"]["vocab"]),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
    )
    peer = LlamaForCausalLM(config).eval()
    peer.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(data))
    names = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "chat_template": BRACKETS}
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    metadata = as_gguf(data, "piece-prepend") | {
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": BRACKETS,
    }
    return folder, write_gguf(folder.parent / "llama.gguf", peer, "llama", QUANTS.F32, metadata)


def reply(generator: Generator) -> str:
    answers = generator.reply(Generate("r", QUESTION, GREEDY))
    return "".join(answer.text for answer in answers if isinstance(answer, Delta))


def test_folder_and_gguf_say_the_same(both: tuple[Path, Path]) -> None:
    folder, file = both
    texts = {reply(Generator(load(path))) for path in both}
    texts |= {reply(Generator(load_fused(path, choose("cpu", "fp32")))) for path in both}
    assert len(texts) == 1
    assert not texts.pop().startswith(" ")
    held = folder.parent / "held"
    held.mkdir(exist_ok=True)
    (held / "model.gguf").write_bytes(file.read_bytes())
    assert load(held).template is not None, "a folder around a GGUF file opens as well"


def test_a_base_model_begins_with_its_first_token(both: tuple[Path, Path]) -> None:
    loaded = load(both[0])
    template = Generator(type(loaded)("x", loaded.model, loaded.tokenizer, None, loaded.end_tokens)).template
    assert template.encode([{"role": "user", "content": "the"}])[0] == loaded.tokenizer.bos == 1


@pytest.mark.parametrize("which", [0, 1], ids=["folder", "gguf"])
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "int8", "int4"])
def test_the_worker_answers(both: tuple[Path, Path], which: int, precision: str) -> None:
    messages = [Load(str(both[which]), "cpu", precision), Generate("1", QUESTION, GREEDY), Shutdown()]
    command = [sys.executable, "-m", "engine.worker"]
    result = subprocess.run(command, input=b"".join(map(encode, messages)), capture_output=True, timeout=60)
    answers = [decode(line) for line in result.stdout.splitlines()]
    assert isinstance(answers[0], Loaded), answers
    assert isinstance(answers[-1], Done), answers
    assert precision == "auto" or precision in answers[0].device_note


def test_check_tells_the_facts(both: tuple[Path, Path]) -> None:
    for path, architecture in zip(both, ("llama", "llama"), strict=True):
        facts = examine(path)
        assert (facts["architecture"], facts["context_length"], facts["has_template"]) == (architecture, 128, True)
        assert facts["parameters"] == sum(p.numel() for p in load(both[0]).model.parameters())
        assert facts["weights_bytes"] > 0


def test_check_as_a_process_is_a_sentence_in_time(tmp_path: Path, both: tuple[Path, Path]) -> None:
    (tmp_path / "bad.gguf").write_bytes(both[1].read_bytes()[:3000])
    for path in (tmp_path / "nowhere", tmp_path / "bad.gguf"):
        began = time.perf_counter()
        result = subprocess.run([sys.executable, "-m", "engine.check", path], capture_output=True, text=True)
        answer = json.loads(result.stdout)
        assert (result.returncode, answer["ok"], answer["code"]) == (2, False, "model_folder")
        assert answer["message"].endswith(".")
        assert time.perf_counter() - began < 8, "torch's import is most of it"


def test_a_model_larger_than_memory_is_a_sentence(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 1024 if name == "SC_PAGE_SIZE" else 100)
    with pytest.raises(ModelFolderError, match=r"needs 0\.0 GB in fp32, and this machine has"):
        load_fused(both[0], choose("cpu", "fp32"))
