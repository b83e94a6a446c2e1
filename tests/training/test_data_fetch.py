"""Fetching from a server on this machine: whole, broken off, changed, refused; and manifests themselves."""

from __future__ import annotations

import bz2
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from training.data import fetch as fetching
from training.data.commands import data
from training.data.fetch import fetch
from training.manifest import load_manifest
from training.recipe import RecipeError, Source, load_recipe

CONTENT = b"".join(b"line %d of a text that is long enough\n" % i for i in range(40_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `content`; breaks off after `cut` bytes as often as `cuts` says; does ranges where `ranges` is set."""

    content, etag, cut, cuts, status, ranges = CONTENT, '"v1"', 0, 0, 200, True
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 - one server a test

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        if server.status != 200:
            return self.send_error(server.status)
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        body = server.content[start:]
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut]
        self.wfile.write(body)
        self.close_connection = True
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        for name in ("content", "etag", "cut", "cuts", "status", "ranges"):
            setattr(server, name, getattr(Handler, name))
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def source(server: ThreadingHTTPServer, **more: str) -> Source:
    url = f"http://127.0.0.1:{server.server_port}/texts/a.txt"
    return Source("a", more.pop("path", "raw/a.txt"), "CC0", url=url, **more)


def no_pause(seconds: float) -> None:
    pass


def test_a_file_comes_whole_and_is_not_asked_for_again(server, tmp_path: Path) -> None:
    done = fetch(source(server, sha256=SHA256), tmp_path)
    assert (done.new, done.checked, done.sha256) == (True, True, SHA256)
    assert done.path.read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "raw").iterdir()] == ["a.txt"], "nothing else is left"
    again = fetch(source(server, sha256=SHA256), tmp_path)
    assert (again.new, again.checked) == (False, True)
    assert len(server.asked) == 1
    assert not fetch(source(server), tmp_path).checked, "there is nothing to compare with"


def test_a_connection_that_breaks_is_gone_on_with(server, tmp_path: Path) -> None:
    server.cut, server.cuts = 400_000, 3
    fetch(source(server, sha256=SHA256), tmp_path, no_pause)
    assert [r for _, r in server.asked] == [None, "bytes=400000-", "bytes=800000-", "bytes=1200000-"]
    assert (tmp_path / "raw/a.txt").read_bytes() == CONTENT


def test_another_process_goes_on_where_one_was_killed(server, tmp_path: Path, monkeypatch) -> None:
    server.cut, server.cuts = 500_000, 99
    monkeypatch.setattr(fetching, "TRIES", 1)
    with pytest.raises(RecipeError, match="What has come is kept; the same command goes on from there"):
        fetch(source(server), tmp_path, no_pause)
    assert (tmp_path / "raw/a.txt.part").stat().st_size == 500_000
    assert not (tmp_path / "raw/a.txt").exists()
    server.cuts = 0
    fetch(source(server, sha256=SHA256), tmp_path, no_pause)
    assert server.asked[-1][1] == "bytes=500000-"


@pytest.mark.parametrize("what", ["changed", "no ranges", "other url", "whole already"])
def test_parts_of_something_else_are_not_gone_on_with(server, tmp_path: Path, monkeypatch, what: str) -> None:
    server.cut, server.cuts = len(CONTENT) if what == "whole already" else 500_000, 1
    monkeypatch.setattr(fetching, "TRIES", 1)
    if what == "whole already":
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw/a.txt.part").write_bytes(CONTENT)
        (tmp_path / "raw/a.txt.part.json").write_text(
            f'{{"url": "http://127.0.0.1:{server.server_port}/texts/a.txt", "mark": "\\"v1\\""}}'
        )
    else:
        with pytest.raises(RecipeError):
            fetch(source(server), tmp_path, no_pause)
    server.cuts = 0
    content = CONTENT
    if what == "changed":
        content = server.content = CONTENT.upper()
        server.etag = '"v2"'
    server.ranges = what != "no ranges"
    if what == "other url":
        (tmp_path / "raw/a.txt.part.json").write_text('{"url": "http://elsewhere", "mark": "\\"v1\\""}')
    fetch(source(server, sha256=hashlib.sha256(content).hexdigest()), tmp_path, no_pause)
    assert (tmp_path / "raw/a.txt").read_bytes() == content


def test_a_wrong_checksum_is_a_sentence_and_leaves_nothing(server, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=f"has the sha256 {SHA256}, and not 0000"):
        fetch(source(server, sha256="0" * 64), tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
    (tmp_path / "raw/a.txt").write_text("mine")
    with pytest.raises(RecipeError, match=r"is there, but its sha256 is .* Move it away"):
        fetch(source(server, sha256=SHA256), tmp_path)
    assert (tmp_path / "raw/a.txt").read_text() == "mine", "what was there before is not touched"


def test_the_checksum_of_a_compressed_file_is_of_what_is_in_it(server, tmp_path: Path) -> None:
    server.content = bz2.compress(CONTENT)
    assert fetch(source(server, path="a.txt.bz2", sha256=SHA256), tmp_path).checked
    server.content, server.etag = server.content[:-5], '"v2"'
    with pytest.raises(RecipeError, match="came damaged"):
        fetch(source(server, path="b.txt.bz2"), tmp_path)


@pytest.mark.parametrize(
    ("status", "tries", "sentence"), [(404, 1, "answers 404 Not Found"), (503, 5, "it answers 503 Service Unavailable")]
)
def test_a_refusal_is_a_sentence(server, tmp_path: Path, status: int, tries: int, sentence: str) -> None:
    server.status = status
    waits: list[float] = []
    with pytest.raises(RecipeError, match=sentence):
        fetch(source(server), tmp_path, waits.append)
    assert len(server.asked) == tries
    assert waits == [2.0, 4.0, 8.0, 16.0][: tries - 1]


def test_a_full_disk_is_a_sentence(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000})())
    with pytest.raises(RecipeError, match=r"needs 2 MB more, and .* has 1 MB free"):
        fetch(source(server), tmp_path)


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.txt", "raw/*.txt"])
def test_a_source_has_one_place_below_the_data_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(RecipeError, match="must be one file below the data folder"):
        fetch(Source("a", path, "x", url="http://127.0.0.1:1/a.txt"), tmp_path)


@pytest.mark.parametrize("url", ["", "ftp://a/b.txt", "file:///etc/passwd"])
def test_only_the_web_is_fetched_from(tmp_path: Path, url: str) -> None:
    with pytest.raises(RecipeError, match="no URL that can be fetched"):
        fetch(Source("a", "a.txt", "x", url=url), tmp_path)


MANIFEST = """
[[sources]]
name = "a"
url = "http://127.0.0.1:{port}/texts/the%20a.txt"
licence = "CC0"
weight = 2
[[sources]]
name = "mine"
path = "mine.txt"
licence = "my own"
"""


def test_the_command_fetches_what_a_manifest_names(server, tmp_path: Path) -> None:
    manifest = tmp_path / "sources.toml"
    manifest.write_text(MANIFEST.format(port=server.server_port))
    run = CliRunner().invoke(data, ["fetch", str(manifest), "--data", str(tmp_path / "data")])
    assert run.exit_code == 0, run.output
    assert "a: " in run.output
    assert f'sha256 = "{SHA256}"' in run.output, "to put into the manifest"
    assert (tmp_path / "data/the a.txt").read_bytes() == CONTENT
    listed = CliRunner().invoke(data, ["fetch", str(manifest), "--list"])
    assert "mine.txt" in listed.output
    for arguments, sentence in ((["nosuch"], "has no source 'nosuch'"), (["mine"], "no URL that can be fetched")):
        run = CliRunner().invoke(data, ["fetch", str(manifest), *arguments, "--data", str(tmp_path / "data")])
        assert (run.exit_code, sentence in run.output) == (2, True), run.output


def test_the_app_hands_over_to_it(server, tmp_path: Path) -> None:
    manifest = tmp_path / "sources.toml"
    manifest.write_text(MANIFEST.format(port=server.server_port))
    homespun = [sys.executable, "-m", "assistant.cli", "data", "fetch"]
    done = subprocess.run(
        [*homespun, str(manifest), "--data", str(tmp_path)], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "the a.txt").read_bytes() == CONTENT
    assert "100%" in done.stderr, "progress"
    for arguments, status, words in ((["nosuch.toml"], 2, "cannot be read"), (["--help"], 0, "those of them that")):
        done = subprocess.run([*homespun, *arguments], capture_output=True, text=True)
        assert (done.returncode, words in done.stdout + done.stderr) == (status, True)
        assert "Traceback" not in done.stderr


def test_a_package_that_an_extra_brings_is_a_sentence(tmp_path: Path, corpus: Path) -> None:
    """training comes with the app; what it needs beyond that does not."""
    hide = (
        "import runpy, sys; sys.modules['{0}'] = None; sys.argv[1:] = {1!r}; "
        "runpy.run_module('training', run_name='__main__', alter_sys=True)"
    )
    recipe = str(corpus / "recipe.toml")
    for package, extra, arguments in (
        ("tqdm", "train", ["data", "fetch", str(corpus / "sources.toml")]),
        ("datatrove", "bigdata", ["data", "prepare", recipe, "--run", str(tmp_path)]),
        ("rensa", "train", ["prepare", recipe, "--data", str(corpus), "--run", str(tmp_path)]),
    ):
        (corpus / "sources.toml").write_text(MANIFEST.format(port=1))
        done = subprocess.run(
            [sys.executable, "-c", hide.format(package, arguments)], capture_output=True, text=True, env=os.environ
        )
        assert done.returncode == 2, done.stderr
        assert f"The package {package} is missing, which this needs: pip install 'homespun[{extra}]'." in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a list of \\[\\[sources\\]\\]"),
        ("[[sources", "not valid TOML"),
        ('[[sources]]\nname = "a"\npath = "b"\nlicense = "x"\n', "unknown key 'license'"),
        ('[[sources]]\nname = "a"\npath = "b"\n', "licence"),
        ('[[sources]]\nname = "a"\npath="b"\nlicence="x"\n' * 2, "two sources are named 'a'"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "sources.toml").write_text(text)
    with pytest.raises(RecipeError, match=sentence):
        load_manifest(tmp_path / "sources.toml")


def test_a_recipe_stands_on_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text(MANIFEST.format(port=1))
    (tmp_path / "all.toml").write_text('[data]\nmanifest = "sources.toml"\n')
    assert [s.name for s in load_recipe(tmp_path / "all.toml").data.sources] == ["a", "mine"]
    (tmp_path / "some.toml").write_text(
        '[data]\nmanifest = "sources.toml"\ntokens_m = 1\nsources = [{ name = "a", epochs = 3 },'
        '{ name = "own", path = "o.txt", licence = "x", weight = 1 }]\n'
    )
    first, second = load_recipe(tmp_path / "some.toml").data.sources
    assert (first.path, first.licence, first.weight, first.epochs) == ("the a.txt", "CC0", 2, 3)
    assert second.path == "o.txt"
    (tmp_path / "bad.toml").write_text('[data]\nmanifest = "nosuch.toml"\n')
    with pytest.raises(RecipeError, match=r"nosuch.toml cannot be read"):
        load_recipe(tmp_path / "bad.toml")


def test_the_manifest_of_the_house_is_valid() -> None:
    sources = load_manifest(Path(__file__).parents[2] / "training" / "sources.toml")
    assert all(s.licence and s.what and s.url.startswith("https://") for s in sources)
