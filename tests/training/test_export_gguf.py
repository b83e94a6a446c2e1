"""GGUF and Ollama: what is written opens in this engine with equal logits, and in llama.cpp where that is installed."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from click.testing import CliRunner

from engine.catalog import BUNDLED
from engine.files.model_folder import load, open_model
from tests.engine.test_tokenizer import TORTURE
from tests.engine.test_vocabularies import TEXTS, learn
from tests.training.export_setup import FAMILIES, LlamaCpp, greedy, make_folder
from training.export import disk, gguf_export
from training.export.commands import export_model
from training.export.families import ExportError
from training.export.gguf_export import export_gguf
from training.export.gguf_vocabulary import FIRST
from training.export.ollama import KNOWN, export_ollama, family_of_template, modelfile

HOMESPUN = BUNDLED / "homespun-v0"


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any, Path]:
    """(family, folder, transformers' model, the folder's GGUF file in F32)."""
    root = tmp_path_factory.mktemp(request.param)
    folder, peer = make_folder(request.param, root / "model")
    out = root / "model.gguf"
    notes = export_gguf(folder, out, "f32")
    assert notes == ([FIRST] if FAMILIES[request.param][1] == "piece-first" else [])
    return request.param, folder, peer, out


def some_ids(size: int) -> list[int]:
    return torch.randint(3, size, (40,), generator=torch.Generator().manual_seed(1)).tolist()


def spaced(name: str, text: str) -> bool:
    """Whether this is where the newer SentencePiece description parts from llama.cpp: see `gguf_vocabulary.FIRST`."""
    return FAMILIES[name][1] == "piece-first" and text.startswith((" ", "\u2581"))


def test_this_engine_opens_it_with_equal_logits(made: tuple[str, Path, Any, Path]) -> None:
    name, folder, peer, out = made
    ours, source = load(out), load(folder)
    ids = torch.tensor([some_ids(ours.tokenizer.vocab_size)])
    with torch.no_grad():
        assert (ours.model(ids) - peer(ids).logits).abs().max() < 1e-4
    assert ours.end_tokens == source.end_tokens
    assert ours.template is not None
    assert ours.template.source == source.template.source
    for text in TEXTS:
        if not spaced(name, text):
            assert ours.tokenizer.encode(text) == source.tokenizer.encode(text)
    assert ours.tokenizer.bos == source.tokenizer.bos


def test_llama_cpp_opens_it_with_equal_logits_ids_and_greedy_tokens(made: tuple[str, Path, Any, Path]) -> None:
    pytest.importorskip("llama_cpp", reason="compiled by the extra bench")
    name, folder, peer, out = made
    theirs, source = LlamaCpp(out), load(folder)
    ids = some_ids(source.tokenizer.vocab_size)
    with torch.no_grad():
        expected = peer(torch.tensor([ids])).logits[0].numpy()
    assert abs(theirs.logits(ids) - expected).max() < 0.02 * abs(expected).max(), "llama.cpp keeps its cache in f16"
    assert theirs.greedy(ids, 24) == greedy(source.model, ids, 24)
    composing = "qwen2" in FAMILIES[name][1]  # Qwen's vocabularies compose characters; llama.cpp never does
    for text in TORTURE:
        text = text.replace("\0", "")  # our small vocabularies have it as a piece, which llama.cpp's strings cannot be
        if text and not spaced(name, text) and not (composing and "e\u0301" in text):
            assert theirs.ids(text) == source.tokenizer.encode(text), text[:40]


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0"])
@pytest.mark.parametrize("name", ["gpt2", "qwen3"])
def test_precisions(name: str, kind: str, tmp_path: Path) -> None:
    """Matrices are rounded as the format says, everything else stays F32; both engines compute the same with that."""
    folder, _ = make_folder(name, tmp_path / "model")
    out = tmp_path / "m.gguf"
    assert export_gguf(folder, out, kind) == []
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(out).tensors}
    assert kinds["blk.0.ffn_up.weight"] == kinds["token_embd.weight"] == kind.upper()
    assert kinds["output_norm.weight"] == "F32"
    exact, rounded = open_model(folder).weights, open_model(out).weights
    for name, stored in exact.items():
        if len(stored.shape) == 2 and name != "positions.weight":
            numbers = stored.read().float().contiguous().numpy()
            block = gguf.GGMLQuantizationType[kind.upper()]
            expected = gguf.dequantize(gguf.quantize(numbers, block), block)
            assert torch.equal(rounded[name].read().float(), torch.from_numpy(expected)), name
    loaded = load(out)
    if kind != "q8_0":  # llama.cpp rounds activations to eight bits as well then
        pytest.importorskip("llama_cpp", reason="compiled by the extra bench")
        ids = some_ids(loaded.tokenizer.vocab_size)
        assert LlamaCpp(out).greedy(ids, 16) == greedy(loaded.model, ids, 16)


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_the_bundled_model_speaks_the_same_in_llama_cpp(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="compiled by the extra bench")
    out = tmp_path / "homespun.gguf"
    export_gguf(HOMESPUN, out, kind)
    theirs, ours = LlamaCpp(out), load(HOMESPUN)
    for text in TORTURE:
        assert theirs.ids(text) == ours.tokenizer.encode(text)
    assert ours.template is not None
    messages = [{"role": "user", "content": "Who are you?"}]
    prompt = ours.template.encode(messages, answer=True)
    said = greedy(ours.model, prompt, 20)
    assert theirs.greedy(prompt, 20) == said
    answer = theirs.llm.create_chat_completion(messages, temperature=0.0, max_tokens=40, repeat_penalty=1.0)
    reply, end = answer["choices"][0]["message"]["content"], said.index(next(iter(ours.end_tokens & set(said))))
    assert reply == ours.tokenizer.decode(said[:end]), "through llama.cpp's own chat handler"


def test_a_row_that_is_no_multiple_of_a_block_is_f16_and_said_to_be(tmp_path: Path) -> None:
    from tests.engine.test_parity import qwen3
    from tests.training import export_setup

    export_setup.FAMILIES["ragged"] = (lambda **m: qwen3(**m), "qwen2")  # rows of 48
    folder, _ = make_folder("ragged", tmp_path / "model")
    del export_setup.FAMILIES["ragged"]
    notes = export_gguf(folder, tmp_path / "m.gguf", "q8_0")
    assert "are F16: their rows are no multiple of 32" in notes[0]
    load(tmp_path / "m.gguf")


def test_ollamas_modelfile(tmp_path: Path) -> None:
    notes = export_ollama(HOMESPUN, tmp_path / "home", "q8_0")
    text = (tmp_path / "home" / "Modelfile").read_text()
    assert text.startswith("FROM ./home.gguf\n")
    assert "<|im_start|>{{ .Role }}" in text
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert "PARAMETER temperature 0.3" in text
    assert 'LICENSE """Apache-2.0"""' in text
    assert notes[-1].startswith("To use it: ollama create home")
    load(tmp_path / "home" / "home.gguf")


def test_a_template_is_known_by_what_it_writes(tmp_path: Path) -> None:
    folder, _ = make_folder("llama3", tmp_path / "m")
    template = open_model(folder).template
    assert template is not None
    assert family_of_template(template) == "ChatML"
    odd = folder / "chat_template.jinja"
    odd.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}")
    text, notes = modelfile(folder, "m.gguf")
    assert "TEMPLATE" not in text
    assert "Ollama looks for one by itself" in notes[0]
    assert set(KNOWN) >= {"ChatML", "Llama 3"}


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(export_model, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_command_prints_sizes_and_hashes(tmp_path: Path) -> None:
    out = tmp_path / "h.gguf"
    code, said = run("--model", "homespun-v0", "--to", "gguf", "--type", "q8_0", "--out", str(out))
    assert code == 0
    assert f"{out.stat().st_size:,} bytes" in said
    assert disk.sha256(out) in said


def test_bad_input_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = str(tmp_path / "x.gguf")
    for words, expected in (
        (("--model", str(tmp_path / "nowhere"), "--to", "gguf"), "no model"),
        (("--model", "homespun-v0", "--to", "hf", "--type", "q8_0"), "q8_0 is for GGUF"),
        (("--model", "homespun-v0", "--to", "gguf", "--out", str(tmp_path / "x.bin")), "ends in .gguf"),
    ):
        code, said = run(*words)
        assert code == 2, said
        assert expected in said
        assert said.count("\n") == 1
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    code, said = run("--model", "homespun-v0", "--to", "gguf", "--out", where)
    assert code == 2
    assert "The disk is too small" in said
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "h.gguf"
    out.write_bytes(b"old")

    def full(_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf_export, "encoded", full)
    with pytest.raises(ExportError, match="the disk is full"):
        export_gguf(HOMESPUN, out, "f16")
    assert [p.name for p in tmp_path.iterdir()] == ["h.gguf"]
    assert out.read_bytes() == b"old"


def test_what_llama_cpp_cannot_run_is_refused(tmp_path: Path) -> None:
    from tests.engine.test_parity import YARN, qwen3
    from tests.training import export_setup

    for number, (more, expected) in enumerate(
        (({"attention_bias": True}, "its attention has biases"), ({"rope_parameters": YARN}, "as YaRN does"))
    ):
        export_setup.FAMILIES["odd"] = (lambda more=more, **m: qwen3(**m, **more), "qwen2")
        folder, _ = make_folder("odd", tmp_path / str(number))
        del export_setup.FAMILIES["odd"]
        with pytest.raises(ExportError, match=expected):
            export_gguf(folder, tmp_path / "m.gguf")
    odd = make_folder("qwen3", tmp_path / "split")[0]
    (odd / "tokenizer.json").write_text(json.dumps(learn("odd")))
    with pytest.raises(ExportError, match="no name for the way this tokenizer splits"):
        export_gguf(odd, tmp_path / "m.gguf")
