"""Models of this machine: adding folders and GGUF files, the default, removing, and what is said about them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import AssistantError, ModelsError, UsageError
from assistant.models import adding
from assistant.models.adding import add
from assistant.models.events import Meter, progress_line, size_text, time_text
from assistant.models.headers import look_at
from assistant.models.selection import choose, licence_of
from assistant.models.shelf import Shelf
from assistant.models.sources import Local, Repo, name_for, parse
from assistant.paths import Paths
from engine.catalog import ModelInfo
from engine.errors import ModelFolderError
from tests.assistant.fake_hub import sha256
from tests.assistant.model_files import BUNDLED, FACTS, files, gguf, safetensors, write


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(Paths(tmp_path / "data"))


@pytest.fixture
def unchecked(monkeypatch) -> None:
    async def check(path: Path, shown: str = "") -> dict:
        return dict(FACTS)

    monkeypatch.setattr(adding, "engine_check", check)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "My Model", files())


async def bring(shelf: Shelf, wish: object, **options) -> ModelInfo:
    return [event async for event in add(shelf, str(wish), **options)][-1].info


async def refused(shelf: Shelf, wish: object, **options) -> str:
    with pytest.raises(AssistantError) as caught:
        await bring(shelf, wish, **options)
    assert not shelf.folder.exists() or [path.name for path in shelf.folder.iterdir()] in ([], [".incoming"])
    assert not shelf.incoming.exists() or list(shelf.incoming.iterdir()) == [], "nothing partial stays"
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Adding


async def test_a_folder_is_taken_in_by_hard_links(shelf: Shelf, source: Path, unchecked) -> None:
    info = await bring(shelf, source)
    assert info.key == "My-Model"
    assert info.licence == "mit"
    names = {path.name for path in info.path.iterdir()}
    assert names == {"README.md", "config.json", "tokenizer.json", "model.safetensors", "homespun.json"}
    assert (info.path / "model.safetensors").samefile(source / "model.safetensors")
    assert not (info.path / "config.json").samefile(source / "config.json"), "people edit these"
    assert info.facts["sha256"]["model.safetensors"] == sha256(safetensors())
    assert info.facts["source"] == str(source)


async def test_where_there_are_no_hard_links_it_is_copied(shelf: Shelf, source: Path, unchecked, tmp_path) -> None:
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("needs a second file system")
    elsewhere = Shelf(Paths(Path("/dev/shm") / f"homespun-test-{os.getpid()}"))
    try:
        info = await bring(elsewhere, source)
        assert (info.path / "model.safetensors").read_bytes() == safetensors()
        assert not (info.path / "model.safetensors").samefile(source / "model.safetensors")
    finally:
        shutil.rmtree(elsewhere.paths.data)


async def test_a_link_leaves_everything_where_it_is(shelf: Shelf, source: Path, unchecked) -> None:
    info = await bring(shelf, source, link=True, name="mine")
    assert (info.path / "model.safetensors").readlink() == source / "model.safetensors"
    assert info.facts["linked"]
    assert "Its files stay" in shelf.question("mine")
    assert shelf.remove("mine") == "mine was forgotten; its files stay where they are."
    assert (source / "model.safetensors").read_bytes() == safetensors()
    assert (source / "config.json").exists()


async def test_a_snapshot_of_symbolic_links_becomes_files(shelf: Shelf, tmp_path: Path, unchecked) -> None:
    """As in the cache of huggingface_hub."""
    blobs = write(tmp_path / "blobs", files())
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (snapshot / name).symlink_to(blobs / name)
    info = await bring(shelf, snapshot)
    assert not any(path.is_symlink() for path in info.path.iterdir())
    shutil.rmtree(blobs)
    assert (info.path / "model.safetensors").read_bytes() == safetensors()


async def test_ollamas_blob_gets_its_name(shelf: Shelf, tmp_path: Path, unchecked) -> None:
    blob = write(tmp_path / "ollama", {"blobs/sha256-abc123": gguf()}) / "blobs" / "sha256-abc123"
    manifest = {"layers": [{"digest": "sha256:other"}, {"digest": "sha256:abc123"}]}
    write(tmp_path / "ollama", {"manifests/registry.ollama.ai/library/llama3.2/1b": json.dumps(manifest).encode()})
    info = await bring(shelf, blob)
    assert info.key == "llama3.2-1b"
    assert (info.path / "model.gguf").read_bytes() == gguf()


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        ({"model.safetensors": safetensors()[:-1]}, "it has 300,0"),
        ({"model.safetensors": safetensors() + b"more"}, "where its header says"),
        ({"model.safetensors": b"\xff" * 16}, "no safetensors file, or cut short"),
        ({"model.safetensors": b""}, "no safetensors file, or cut short"),
        ({"model.safetensors": b"\x05\0\0\0\0\0\0\0[1,2]"}, "header is damaged"),
        ({"model.safetensors": (2**60).to_bytes(8, "little") + b"{}"}, "no safetensors file, or cut short"),
        ({"config.json": None}, "has no weights that the engine opens"),
    ],
)
async def test_a_damaged_folder_is_a_sentence(shelf: Shelf, source: Path, unchecked, contents, sentence) -> None:
    for name, data in contents.items():
        (source / name).unlink()
        if data is not None:
            (source / name).write_bytes(data)
    assert sentence in await refused(shelf, source)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (gguf(tensors=2**60), "1,152,921,504,606,846,976 tensors"),
        (gguf()[:10], "cut short"),
        (b"GGUF\x09" + bytes(30), "version 9"),
        (b"PK\x03\x04", "no GGUF file"),
    ],
)
async def test_a_lying_gguf_is_a_sentence(shelf: Shelf, tmp_path: Path, unchecked, data, sentence) -> None:
    write(tmp_path, {"bad.gguf": data})
    assert sentence in await refused(shelf, tmp_path / "bad.gguf")


async def test_what_the_engine_refuses_is_its_sentence(shelf: Shelf, source: Path) -> None:
    assert "ModelFolder" not in await refused(shelf, source)


async def test_larger_than_memory_is_a_sentence(shelf: Shelf, source: Path, unchecked, monkeypatch) -> None:
    monkeypatch.setattr(adding, "memory", lambda: 500)
    assert "My Model needs 625 B of memory" in await refused(shelf, source)
    assert (await bring(shelf, source, anyway=True)).key == "My-Model"


async def test_a_full_disk_is_a_sentence(shelf: Shelf, source: Path, unchecked, monkeypatch) -> None:
    monkeypatch.setattr(adding, "free_bytes", lambda folder: 1000)
    monkeypatch.setattr(adding, "same_disk", lambda one, other: False)
    assert "are free on the disk of" in await refused(shelf, source)


async def test_a_half_copied_model_of_a_killed_process_is_swept_up(shelf: Shelf, source: Path, unchecked) -> None:
    shelf.make()
    write(shelf.incoming / "half", {"model.safetensors": b"half"})
    shelf.write_job("half", str(source), resumable=False)
    assert shelf.unfinished() == []
    await bring(shelf, source)
    assert list(shelf.incoming.iterdir()) == []


# Wishes and names


@pytest.mark.parametrize(
    ("wish", "source", "name"),
    [
        ("gpt2", Repo("openai-community/gpt2"), "gpt2"),
        ("gpt2-xl", Repo("openai-community/gpt2-xl"), "gpt2-xl"),
        ("Qwen/Qwen3-0.6B", Repo("Qwen/Qwen3-0.6B"), "Qwen3-0.6B"),
        ("https://huggingface.co/Qwen/Qwen3-0.6B", Repo("Qwen/Qwen3-0.6B"), "Qwen3-0.6B"),
        ("https://huggingface.co/Qwen/Qwen3-0.6B/tree/v1", Repo("Qwen/Qwen3-0.6B", "", "v1"), "Qwen3-0.6B"),
        ("a/B-GGUF:Q4_K_M", Repo("a/B-GGUF", "Q4_K_M"), "B-GGUF-Q4_K_M"),
        ("https://huggingface.co/a/Mod-GGUF/blob/main/Mod-q8.gguf", Repo("a/Mod-GGUF", "Mod-q8.gguf"), "Mod-q8"),
        ("a/b@refs/pr/1", Repo("a/b", "", "refs/pr/1"), "b"),
    ],
)
def test_wishes_and_the_names_they_make(wish: str, source: Repo, name: str) -> None:
    assert parse(wish) == source
    assert name_for(source, None) == name


@pytest.mark.parametrize(
    "wish",
    ["", "  ", "nosuch", "../x/y", "/nowhere", "~/nowhere", "a/b/c", "a/../b", "a--b/c", "x/\x1b[2J", "./x.gguf"],
)
def test_wishes_that_mean_nothing_are_a_sentence(wish: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        parse(wish)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "x\x07", "x.gguf", "x" * 97])
def test_names_that_cannot_be_are_a_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        name_for(Repo("a/b"), name)


def test_odd_folder_names_become_plain_ones(tmp_path: Path) -> None:
    assert name_for(Local(tmp_path / "Größe 7b (neu)", gguf=False), None) == "Gr-e-7b-neu-"
    assert name_for(Local(tmp_path / "...", gguf=False), None) == "model"
    assert name_for(Local(tmp_path / "a.gguf.gguf", gguf=True), None) == "a"


def test_what_is_chosen_of_a_repository() -> None:
    both = ["config.json", "model.safetensors", "pytorch_model.bin", "x.gguf"]
    assert set(choose(both)) == {"config.json", "model.safetensors"}
    assert set(choose(["config.json", "pytorch_model.bin"])) == {"config.json", "pytorch_model.bin"}
    assert choose(["a/M-Q8_0.gguf", "a/M-F16.gguf"], "f16") == {"a/M-F16.gguf": "model.gguf"}
    with pytest.raises(ModelsError, match="choose one after a colon"):
        choose(["a-x.gguf", "b-y.gguf"])
    with pytest.raises(ModelsError, match="several pieces"):
        choose(["M-Q8_0-00001-of-00002.gguf", "M-Q8_0-00002-of-00002.gguf"], "Q8_0")


def test_licences() -> None:
    assert licence_of({"license": "other", "license_name": "gemma"}) == "gemma"
    assert licence_of(None, ["x", "license:mit"]) == "mit"
    assert licence_of({}, []) is None


def test_speed_and_time_left() -> None:
    now = [0.0]
    meter = Meter(1_000_000_000, 0, clock=lambda: now[0])
    now[0] = 0.1
    assert meter.at(1_000_000).speed is None, "too early to tell"
    now[0] = 4.0
    progress = meter.at(100_000_000)
    assert (progress.speed, progress.left) == (25e6, 36.0)
    assert progress_line(progress) == "10 % of 1.00 GB, 25.0 MB/s, 36 s left"
    for second in range(5, 30):
        now[0] = second
        progress = meter.at(100_000_000 + (second - 4) * 1_000_000)
    assert progress.speed == pytest.approx(1e6, rel=0.01), "an old speed is forgotten"
    assert [size_text(x) for x in (5, 25_184_752, 548e6, 999.96e6)] == ["5 B", "25.2 MB", "548 MB", "1.00 GB"]
    assert [time_text(x) for x in (59.4, 200, 7500)] == ["59 s", "3 min 20 s", "2 h 5 min"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.sampled_from(["x.gguf", "model.safetensors", "sha256-x"]), st.booleans())
def test_any_bytes_are_passed_on_or_a_sentence(tmp_path: Path, data: bytes, name: str, headed: bool) -> None:
    start = b"GGUF\x03\0\0\0" if "safe" not in name else len(data).to_bytes(8, "little")
    (tmp_path / name).write_bytes(start + data if headed else data)
    sentence = ""
    try:
        look_at(tmp_path / name)
    except ModelsError as error:
        sentence = str(error)
    assert sentence.isprintable()


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.text(max_size=30) | st.sampled_from([*files(20_000), "../m.gguf", "a\\b.gguf"]), max_size=12), st.text()
)
def test_whatever_a_server_lists_stays_in_the_folder(names: list[str], pick: str) -> None:
    try:
        chosen = choose(names, pick)
    except ModelsError:
        return
    for there, here in chosen.items():
        assert there in names
        assert here == Path(here).name
        assert here.isprintable()
        assert not here.startswith(".")


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_source_or_a_sentence(wish: str) -> None:
    sentence, name = "", "x"
    try:
        name = name_for(parse(wish), None)
    except UsageError as error:
        sentence = str(error)
    assert "\x1b" not in sentence
    assert name == Path(name).name
    assert not name.startswith(".")


# The default, and removing


async def test_the_default_lives_and_falls_back(shelf: Shelf, source: Path, unchecked) -> None:
    await bring(shelf, source, name="mine")
    assert shelf.default()[0].key == "homespun-v0"
    assert shelf.set_default("mine").key == "mine"
    assert Shelf(shelf.paths).default()[0].key == "mine"
    shutil.rmtree(shelf.folder / "mine")
    info, note = shelf.default()
    assert info.key == "homespun-v0"
    assert note == "The default model mine cannot be opened any more; homespun-v0 is used."
    with pytest.raises(ModelFolderError, match="no model called 'mine'"):
        shelf.set_default("mine")
    shelf.paths.settings.write_text("{ not json")
    assert shelf.default() == (info, "")
    shelf.set_default(str(source))
    assert shelf.default()[0].path == source


async def test_removing(shelf: Shelf, source: Path, unchecked, tmp_path: Path) -> None:
    await bring(shelf, source, name="mine")
    shelf.set_default("mine")
    assert shelf.question("mine") == "Remove mine for good? Its folder is deleted."
    assert shelf.remove("mine") == "mine was removed. It was the default, which now is homespun-v0."
    assert not (shelf.folder / "mine").exists()
    assert (source / "model.safetensors").read_bytes() == safetensors(), "the hard link's other name stays"
    for name, sentence in (
        ("homespun-v0", "came with homespun and stays"),
        (str(source), "is left alone"),
        ("mine", "no model called 'mine'"),
        ("..", "is left alone"),
        (".incoming", "no model called"),
        ("", "no model called"),
        ("x\x07", r"no model called 'x' to remove"),
    ):
        with pytest.raises(ModelsError, match=sentence):
            shelf.remove(name)
    assert source.exists()
    outside = write(tmp_path / "outside", files())
    (shelf.folder / "pointer").symlink_to(outside)
    assert "its files stay" in shelf.remove("pointer")
    assert (outside / "config.json").exists()


async def test_a_base_that_an_adapter_needs_stays(shelf: Shelf, source: Path, unchecked) -> None:
    await bring(shelf, source, name="base")
    adapter = {"adapter_config.json": json.dumps({"base_model_name_or_path": "base"}).encode()}
    write(shelf.folder / "mine", adapter)
    with pytest.raises(ModelsError, match="base is needed by mine"):
        shelf.remove("base")


async def test_two_processes_cannot_add_the_same(shelf: Shelf, source: Path, unchecked) -> None:
    shelf.make()
    code = (
        "import sys, pathlib, filelock\n"
        "with filelock.FileLock(sys.argv[1]):\n print('held', flush=True)\n sys.stdin.read()"
    )
    lock = str(shelf.incoming / "mine.lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ModelsError, match="being added already"):
            await bring(shelf, source, name="mine")
        other.stdin.close()
    assert (await bring(shelf, source, name="mine")).key == "mine"


# With the real engine


async def test_a_gguf_file_is_taken_in_and_answers_by_its_name(shelf: Shelf, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from engine.files.model_folder import load
    from tests.engine.gguf_writing import write_gguf

    config = transformers.Qwen3Config(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    vocabulary = [f"<0x{byte:02X}>" for byte in range(256)] + ["<unk>", "<s>", "</s>"]
    metadata = {
        "general.license": "mit",
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": vocabulary,
        "tokenizer.ggml.scores": [0.0] * 259,
        "tokenizer.ggml.token_type": [6] * 256 + [2, 3, 3],
        "tokenizer.ggml.eos_token_id": 258,
    }
    path = write_gguf(tmp_path / "Tiny-F32.gguf", transformers.Qwen3ForCausalLM(config), "qwen3", metadata=metadata)
    info = await bring(shelf, path)
    assert (info.key, info.architecture, info.licence, info.has_template) == ("Tiny-F32", "qwen3", "mit", False)
    assert info.parameters == sum(p.numel() for p in transformers.Qwen3ForCausalLM(config).parameters())
    assert shelf.find("Tiny-F32").path == shelf.folder / "Tiny-F32"
    assert load(info.path).name == "Tiny-F32", "and not the file's name in its folder"
    short = path.with_name("short.gguf")
    short.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelsError):
        await bring(shelf, short)
    assert {one.key for one in shelf.models()} == {"Tiny-F32", "homespun-v0"}
    assert list(shelf.incoming.iterdir()) == []


async def test_an_adapter_finds_its_base_by_the_repository_that_was_added_from(shelf: Shelf, tmp_path: Path) -> None:
    from engine.decoder.lora import LoRAConfig
    from tests.engine.test_adapter import write as write_adapter

    await bring(shelf, BUNDLED, name="base")
    facts = shelf.folder / "base" / "homespun.json"
    write_adapter(tmp_path / "mine", BUNDLED, LoRAConfig(rank=2))
    told = json.loads((tmp_path / "mine" / "adapter_config.json").read_text())
    (tmp_path / "mine" / "adapter_config.json").write_text(json.dumps(told | {"base_model_name_or_path": "org/base"}))
    with pytest.raises(ModelsError, match="needs the model org/base, which is not here"):
        await bring(shelf, tmp_path / "mine")
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"source": "org/base"}))
    info = await bring(shelf, tmp_path / "mine")
    assert (info.key, info.parameters) == ("mine", 12_588_672)
    with pytest.raises(ModelsError, match="base is needed by mine"):
        shelf.remove("base")


def command(shelf: Shelf, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "assistant.cli", "models", *arguments],
        env=os.environ | {"HOMESPUN_DATA_DIR": str(shelf.paths.data)},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_life_of_a_model_on_the_command_line(shelf: Shelf) -> None:
    assert "homespun-v0" in command(shelf).stdout
    assert not shelf.paths.data.exists(), "looking makes nothing"
    done = command(shelf, "add", str(BUNDLED), "--name", "twin", "--default")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "twin is here: 12.6 M parameters, 25.2 MB, Apache-2.0.\n"
    listed = json.loads(command(shelf, "list", "--json").stdout)
    assert [(one["name"], one["default"], one["bundled"]) for one in listed] == [
        ("twin", True, False),
        ("homespun-v0", False, True),
    ]
    told = json.loads(command(shelf, "info", "--json").stdout)
    assert (told["name"], told["architecture"], told["parameters"]) == ("twin", "qwen3", 12_588_672)
    assert (told["context_length"], told["chat_template"], told["licence"]) == (1024, True, "Apache-2.0")
    assert told["memory"] == {"fp32": 50354688, "bf16": 25177344, "int8": 12588672, "int4": 7867920}
    assert told["sha256"]["model.safetensors"] == sha256((BUNDLED / "model.safetensors").read_bytes())
    text = command(shelf, "info", "twin").stdout
    assert "Apache-2.0" in text
    assert "int4 7.9 MB" in text
    assert command(shelf, "default").stdout == "twin\n"
    assert command(shelf, "default", "homespun-v0").stdout == "homespun-v0 is the default now.\n"
    asked = command(shelf, "remove", "twin")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert command(shelf, "remove", "twin", "--yes").stdout == "twin was removed.\n"
    assert command(shelf, "info", "twin").returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [("add", "nosuch"), ("add", "/nowhere"), ("remove", "homespun-v0", "--yes"), ("default", "nosuch"), ("info", "x")],
)
def test_bad_input_is_a_sentence_and_status_two(shelf: Shelf, arguments: tuple[str, ...]) -> None:
    done = command(shelf, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_is_no_model_is_told_of(shelf: Shelf, tmp_path: Path) -> None:
    write(shelf.folder / "broken", {"config.json": b"{}"})
    done = command(shelf)
    assert "broken" not in done.stdout
    assert "Cannot be read: broken. The model folder" in done.stderr


def test_ask_uses_the_default(shelf: Shelf, source: Path) -> None:
    shelf.folder.mkdir(parents=True)
    shutil.copytree(BUNDLED, shelf.folder / "twin")
    shelf.set_default("twin")
    code = (
        "from assistant import ask; from assistant.cli import main\n"
        "ask.run = lambda text, wishes: print(wishes.model.path)\nmain()"
    )
    environment = os.environ | {"HOMESPUN_DATA_DIR": str(shelf.paths.data)}
    told = subprocess.run([sys.executable, "-c", code, "ask", "x"], env=environment, capture_output=True, text=True)
    assert told.stdout == f"{shelf.folder / 'twin'}\n"
    shutil.rmtree(shelf.folder / "twin")
    told = subprocess.run([sys.executable, "-c", code, "ask", "x"], env=environment, capture_output=True, text=True)
    assert "homespun-v0" in told.stdout
    assert "(The default model twin cannot be opened any more; homespun-v0 is used.)" in told.stderr
