"""Downloading from a Hub that cuts, stalls, corrupts, rate-limits and lies; the client's side is the real one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import AssistantError, Interrupted, ModelsError
from assistant.models import adding, child
from assistant.models.adding import add
from assistant.models.events import Added, Note, Plan, Progress
from assistant.models.shelf import Shelf
from assistant.paths import Paths
from tests.assistant.fake_hub import COMMIT, FakeHub, Fault, Repository, sha256
from tests.assistant.model_files import FACTS, files, gguf, safetensors

WANTED = {"README.md", "config.json", "tokenizer.json", "model.safetensors"}


@pytest.fixture
def hub(monkeypatch, tmp_path: Path) -> Iterator[FakeHub]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    hub = FakeHub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    hub.repositories["org/tiny"] = Repository(files())
    yield hub
    hub.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(Paths(tmp_path / "data"))


@pytest.fixture(autouse=True)
def checked(monkeypatch) -> list[Path]:
    """The engine's check is another file's matter and costs two seconds."""
    seen: list[Path] = []

    async def check(path: Path, shown: str = "") -> dict:
        seen.append(path)
        return dict(FACTS)

    monkeypatch.setattr(adding, "engine_check", check)
    return seen


async def bring(shelf: Shelf, wish: str = "org/tiny", **options) -> list:
    return [event async for event in add(shelf, wish, **options)]


async def refused(shelf: Shelf, wish: str = "org/tiny", **options) -> AssistantError:
    """The error that `add` ends with; there is no model afterwards, nor anything that looks like one."""
    with pytest.raises(AssistantError) as caught:
        await bring(shelf, wish, **options)
    assert [path.name for path in shelf.folder.iterdir() if path.name != ".incoming"] == []
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith((".", "?", ")"))
    assert not isinstance(caught.value, Interrupted) or shelf.unfinished() or "kept" not in sentence
    if not isinstance(caught.value, Interrupted):
        assert list(shelf.incoming.iterdir()) == [], "nothing partial stays"
    return caught.value


def test_the_fake_hub_speaks_the_hubs_protocol(hub: FakeHub, tmp_path: Path) -> None:
    """The reference: huggingface_hub's own download takes the repository whole, before anything of ours does."""
    code = "import sys; from huggingface_hub import snapshot_download as get; get('org/tiny', local_dir=sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "x")]
    subprocess.run(command, check=True, env=os.environ | {"HF_HUB_DISABLE_XET": "1"})
    for name, data in hub.repositories["org/tiny"].files.items():
        assert (tmp_path / "x" / name).read_bytes() == data


async def test_a_repository_is_brought_whole_and_only_what_is_needed(hub: FakeHub, shelf: Shelf, checked) -> None:
    events = await bring(shelf)
    folder, contents = shelf.folder / "tiny", hub.repositories["org/tiny"].files
    assert {path.name for path in folder.iterdir()} == WANTED | {"homespun.json"}
    assert all((folder / name).read_bytes() == contents[name] for name in WANTED)
    plan, last = events[0], events[-1]
    assert isinstance(plan, Plan)
    assert (plan.source, plan.licence, plan.have) == ("org/tiny", "mit", 0)
    assert plan.size == sum(len(contents[name]) for name in WANTED)
    assert isinstance(last, Added)
    assert last.info.licence == "mit"
    assert last.info.facts["revision"] == COMMIT
    assert last.info.facts["sha256"]["model.safetensors"] == sha256(contents["model.safetensors"])
    assert last.info.parameters == 1000
    assert checked[-1] == shelf.incoming / "tiny", "looked at before it got its name"
    assert list(shelf.incoming.iterdir()) == []
    assert [p.done for p in events if isinstance(p, Progress)][-1] == plan.size
    assert not any("onnx" in path or path.endswith(".bin") for _, path, _ in hub.requests)
    assert {method for method, _, _ in hub.requests} == {"GET"}


async def test_a_cut_is_gone_on_from_where_it_was(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=100_000), Fault(cut=70_000)]
    events = await bring(shelf)
    assert hub.asked("cdn/org/tiny/model.safetensors") == ["", "bytes=100000-", "bytes=170000-"]
    assert any("cut" in event.text for event in events if isinstance(event, Note))
    assert (shelf.folder / "tiny" / "model.safetensors").read_bytes() == safetensors()


async def test_a_stall_ends_in_bounded_time_and_is_gone_on_from(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(stall=80_000)]
    events = await bring(shelf)
    assert hub.asked("cdn")[-1] == "bytes=80000-"
    assert any("Nothing has come for 1 s" in event.text for event in events if isinstance(event, Note))


async def test_a_hub_that_always_cuts_is_given_up_and_a_second_add_goes_on(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=100_000), *[Fault(cut=10) for _ in range(5)]]
    error = await refused(shelf)
    assert isinstance(error, Interrupted)
    assert "cut again and again" in str(error)
    assert [(one.name, one.source) for one in shelf.unfinished()] == [("tiny", "org/tiny")]
    assert shelf.unfinished()[0].have > 100_000
    before = len(hub.requests)
    events = await bring(shelf)
    assert events[0].have > 100_000
    assert [r for m, p, r in hub.requests[before:] if "cdn/org/tiny/model" in p] == ["bytes=100050-"]
    assert not any("config.json" in p for _, p, _ in hub.requests[before:]), "small files are there already"
    assert (shelf.folder / "tiny" / "model.safetensors").read_bytes() == safetensors()


async def test_a_damaged_file_is_fetched_once_more(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(flip=150_000)]
    hub.faults["config.json"] = [Fault(flip=3)]
    events = await bring(shelf)
    assert [e.text.split()[0] for e in events if isinstance(e, Note)] == ["config.json", "model.safetensors"]
    assert (shelf.folder / "tiny" / "model.safetensors").read_bytes() == safetensors()


async def test_a_file_damaged_twice_is_a_sentence(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(flip=150_000), Fault(flip=4)]
    assert "damaged twice" in str(await refused(shelf))
    assert not list(shelf.incoming.glob("tiny/*safetensors*")), "the damaged bytes are not gone on from"
    assert isinstance((await bring(shelf))[-1], Added)


async def test_a_server_that_ignores_ranges_is_read_from_the_beginning(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(cut=100_000), Fault(ignore_range=True)]
    await bring(shelf)
    assert (shelf.folder / "tiny" / "model.safetensors").read_bytes() == safetensors()


async def test_a_rate_limit_is_waited_out(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(status=429, headers={"Retry-After": "1"}), Fault(status=503)]
    began = time.monotonic()
    events = await bring(shelf)
    assert time.monotonic() - began >= 1
    assert any("slow down; trying again in 1 s" in e.text for e in events if isinstance(e, Note))


async def test_the_hubs_own_header_for_a_rate_limit_is_understood(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults["model.safetensors"] = [Fault(status=429, headers={"RateLimit": '"resolvers";r=0;t=1200'})]
    assert "wait 20 minutes" in str(await refused(shelf))


@pytest.mark.parametrize("where", ["file", "api"])
async def test_a_long_rate_limit_is_a_sentence(hub: FakeHub, shelf: Shelf, where: str) -> None:
    fault = Fault(status=429, headers={"Retry-After": "1800"})
    hub.faults["model.safetensors"], hub.api_faults = ([fault], []) if where == "file" else ([], [fault])
    error = await refused(shelf)
    assert ("wait 30 minutes" if where == "file" else "too many requests") in str(error)


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ("org/nothere", "There is no model org/nothere"),
        ("org/tiny@v9", "no branch, tag or commit 'v9'"),
        ("org/tiny:Q4_K_M", "no GGUF file 'Q4_K_M'"),
        ("org/empty", "no weights"),
        ("org/gated", "accepted its terms"),
    ],
)
async def test_what_is_not_there_is_a_sentence(hub: FakeHub, shelf: Shelf, wish: str, sentence: str) -> None:
    hub.repositories["org/empty"] = Repository({"README.md": b"# nothing"})
    hub.repositories["org/gated"] = Repository(files(), gated=True)
    assert sentence in str(await refused(shelf, wish))


async def test_a_gated_repository_opens_with_a_token(hub: FakeHub, shelf: Shelf, monkeypatch) -> None:
    hub.repositories["org/tiny"].gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert isinstance((await bring(shelf))[-1], Added)
    assert "hf_secret" not in (shelf.folder / "tiny" / "homespun.json").read_text()


async def test_offline_is_a_sentence(hub: FakeHub, shelf: Shelf, monkeypatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    error = await refused(shelf)
    assert "cannot be reached (connection refused). Is this computer online?" in str(error)


async def test_offline_by_choice_is_a_sentence(hub: FakeHub, shelf: Shelf, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in str(await refused(shelf))
    assert hub.requests == []


async def test_a_hub_that_does_not_answer_is_a_sentence(hub: FakeHub, shelf: Shelf) -> None:
    hub.api_faults = [Fault(stall=0)]
    assert "does not answer" in str(await refused(shelf))


@pytest.mark.parametrize("extra", [{"siblings": "many"}, {"siblings": [{"size": 1}]}, {"cardData": 7}, {"sha": None}])
async def test_an_answer_that_makes_no_sense_is_a_sentence(hub: FakeHub, shelf: Shelf, extra: dict) -> None:
    hub.repositories["org/tiny"].extra = extra
    assert "org/tiny" in str(await refused(shelf))


async def test_a_disk_without_room_is_a_sentence_before_anything_comes(hub: FakeHub, shelf: Shelf, monkeypatch) -> None:
    monkeypatch.setattr(adding, "free_bytes", lambda folder: 200_000)
    assert "only 0 B are free" in str(await refused(shelf))
    assert not any("resolve" in path for _, path, _ in hub.requests)


async def test_a_model_larger_than_memory_is_a_sentence_and_may_come_anyway(hub: FakeHub, shelf: Shelf) -> None:
    hub.repositories["org/tiny"].extra = {"safetensors": {"parameters": {"BF16": 10**14}, "total": 10**14}}
    assert "needs 62.50 TB of memory at the very least" in str(await refused(shelf))
    assert not any("resolve" in path for _, path, _ in hub.requests)
    assert isinstance((await bring(shelf, anyway=True))[-1], Added)


async def test_a_size_that_cannot_be_is_a_sentence(hub: FakeHub, shelf: Shelf) -> None:
    hub.repositories["org/tiny"].sizes = {"model.safetensors": 2**60}
    error = await refused(shelf, anyway=True)
    assert "are free on the disk" in str(error)


async def test_names_from_a_server_lead_nowhere(hub: FakeHub, shelf: Shelf, tmp_path: Path) -> None:
    evil = dict.fromkeys(("../../evil.json", "/etc/evil", "a/../../config.json", "..\\evil.json"), b"evil")
    evil |= {"bell\x07.json": b"evil", "\x1b]0;evil\x07.gguf": gguf(), "model-\x1b[2J.safetensors": b"evil"}
    hub.repositories["org/tiny"] = Repository(files() | evil)
    await bring(shelf)
    assert {path.name for path in (shelf.folder / "tiny").iterdir()} == WANTED | {"homespun.json"}
    assert not list(tmp_path.rglob("*evil*"))
    hub.repositories["org/evil"] = Repository({"../../evil.gguf": gguf(), "README.md": b"# x"})
    with pytest.raises(ModelsError, match="no weights"):
        await bring(shelf, "org/evil")
    assert not list(tmp_path.rglob("evil*"))


async def test_one_gguf_file_is_chosen(hub: FakeHub, shelf: Shelf) -> None:
    kinds = {f"sub/Tiny-{kind}.gguf": gguf() + kind.encode() for kind in ("Q4_K_M", "Q8_0", "F16")}
    hub.repositories["org/tiny-GGUF"] = Repository(kinds | {"README.md": b"# x", "mmproj-F16.gguf": gguf()})
    events = await bring(shelf, "org/tiny-GGUF:q8_0")
    assert events[-1].info.path.name == "tiny-GGUF-q8_0"
    assert (events[-1].info.path / "model.gguf").read_bytes().endswith(b"Q8_0")
    events = await bring(shelf, "org/tiny-GGUF")
    assert (events[-1].info.path / "model.gguf").read_bytes().endswith(b"Q4_K_M")


async def test_shards_come_together(hub: FakeHub, shelf: Shelf) -> None:
    parts = {f"model-0000{i}-of-00002.safetensors": safetensors(20_000, i) for i in (1, 2)}
    contents = {name: data for name, data in files().items() if name != "model.safetensors"}
    hub.repositories["org/tiny"] = Repository(contents | parts | {"model.safetensors.index.json": b"{}"})
    await bring(shelf)
    assert set(parts) <= {path.name for path in (shelf.folder / "tiny").iterdir()}
    assert not (shelf.folder / "tiny" / "pytorch_model.bin").exists()


async def test_a_lying_file_that_arrived_as_promised_leaves_nothing(hub: FakeHub, shelf: Shelf) -> None:
    hub.repositories["org/tiny"].files["model.safetensors"] = safetensors()[:-1000]
    error = await refused(shelf)
    assert type(error) is ModelsError
    assert "has 299,0" in str(error)


async def test_a_kind_that_the_engine_does_not_know_is_refused_before_the_weights_have_come(
    hub: FakeHub, shelf: Shelf, monkeypatch
) -> None:
    monkeypatch.setattr(adding, "engine_check", child.engine_check)  # the real one
    contents = files(4_000_000) | {"config.json": b'{"model_type": "mamba"}'}
    hub.repositories["org/tiny"], hub.slow = Repository(contents), 0.2
    sent = hub.sent
    assert "cannot open models of type 'mamba'" in str(await refused(shelf))
    assert hub.sent - sent < 3_000_000
    assert list(shelf.incoming.iterdir()) == []


async def test_the_same_again_is_a_sentence_and_another_name_is_not(hub: FakeHub, shelf: Shelf) -> None:
    await bring(shelf)
    with pytest.raises(ModelsError, match="called tiny already, from there"):
        await bring(shelf)
    hub.repositories["other/Tiny"] = Repository(files())
    with pytest.raises(ModelsError, match=r"called tiny already\. Give another name with --name"):
        await bring(shelf, "other/Tiny")
    await bring(shelf, "other/Tiny", name="second")
    assert {info.key for info in shelf.models()} == {"tiny", "second", "homespun-v0"}


async def test_stopping_keeps_what_has_come(hub: FakeHub, shelf: Shelf) -> None:
    hub.slow = 0.2
    events = add(shelf, "org/tiny")
    async for event in events:
        if isinstance(event, Progress) and event.done > 150_000:
            break
    await events.aclose()
    assert [info.key for info in shelf.models()] == ["homespun-v0"]
    assert shelf.unfinished()[0].have >= 100_000
    hub.slow = 0
    assert (await bring(shelf))[0].have >= 100_000


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "assistant.cli", "models", *arguments]


def test_kill_minus_nine_leaves_nothing_listed_and_the_next_goes_on(hub: FakeHub, shelf: Shelf) -> None:
    hub.slow = 0.3
    environment = os.environ | {"HOMESPUN_DATA_DIR": str(shelf.paths.data)}
    process = subprocess.Popen(command("add", "org/tiny"), env=environment, stderr=subprocess.PIPE)
    limit = time.monotonic() + 30
    while not any(path.stat().st_size > 100_000 for path in shelf.incoming.glob("tiny/.*model*")):
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    listed = subprocess.run(command("list"), env=environment, capture_output=True, text=True)
    assert "tiny" not in listed.stdout
    assert "homespun models add org/tiny;" in listed.stderr
    time.sleep(1)
    sizes = [path.stat().st_size for path in shelf.incoming.glob("tiny/.*model*")]
    time.sleep(1)
    assert sizes == [path.stat().st_size for path in shelf.incoming.glob("tiny/.*model*")], "its child has ended too"
    hub.slow = 0
    done = subprocess.run(command("add", "org/tiny"), env=environment, capture_output=True, text=True)
    assert "are here already" in done.stderr
    assert any(given for given in hub.asked("cdn/org/tiny/model")), "gone on from where it was"
    assert done.returncode == 2, "the real engine has looked at it, and it is no model"
    assert "Traceback" not in done.stderr
    assert not (shelf.folder / "tiny").exists()
    assert list(shelf.incoming.iterdir()) == []


def test_ctrl_c_says_what_is_kept(hub: FakeHub, shelf: Shelf) -> None:
    # Never whole, however late: what is asked for again gets nothing.
    hub.faults["model.safetensors"] = [Fault(stall=200_000), *(Fault(stall=0) for _ in range(9))]
    environment = os.environ | {"HOMESPUN_DATA_DIR": str(shelf.paths.data)}
    process = subprocess.Popen(command("add", "org/tiny"), env=environment, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 30
    while not any(path.stat().st_size > 100_000 for path in shelf.incoming.glob("tiny/.*model*")):
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130, told
    assert told.endswith("Stopped. What has come is kept: the same command goes on from there.\n")
    assert [one.name for one in shelf.unfinished()] == ["tiny"]
    removed = subprocess.run(command("remove", "tiny", "--yes"), env=environment, capture_output=True, text=True)
    assert "discarded" in removed.stdout
    assert shelf.unfinished() == []


def test_a_repository_that_does_not_exist_is_status_two_and_quick(hub: FakeHub, shelf: Shelf) -> None:
    environment = os.environ | {"HOMESPUN_DATA_DIR": str(shelf.paths.data)}
    done = subprocess.run(command("add", "org/nothere"), env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: There is no model org/nothere on http://127.0.0.1")
    assert done.stderr.count("\n") == 1
