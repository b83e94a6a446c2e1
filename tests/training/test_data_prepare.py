"""`prepare` as a whole: the same for any number of processes and interruptions, and a sentence for what is wrong."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.test_data_cleaning import PROSE
from tests.training.test_data_duplicates import changed, text
from training.data import chunks, documents, prepare
from training.data.parallel import ordered_map
from training.data.prepare import documents_path
from training.data.report import write_report
from training.recipe import DataRecipe, Recipe, RecipeError, Source


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("\n<|endoftext|>\n".join(texts), encoding="utf-8")
    return path


def everything(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted((run / "documents").rglob("*.jsonl"))}


@pytest.fixture
def two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataRecipe:
    """Two sources in several chunks each; every document of the second is equal or nearly equal to one of the first."""
    monkeypatch.setattr(chunks, "CHUNK", 70_000)
    first = [text(150) for _ in range(200)]
    write(tmp_path / "a.txt", first)
    write(tmp_path / "b.txt", [t.upper() for t in first[:50]] + [changed(t, 0.01) for t in first[50:100]])
    return DataRecipe((Source("a", "a.txt", "x"), Source("b", "b.txt", "x")), valid_percent=10)


def test_the_first_source_keeps_what_both_have(two_sources: DataRecipe, tmp_path: Path) -> None:
    report = prepare.prepare(two_sources, tmp_path, tmp_path / "run")
    assert report["a"]["kept"] == 200
    assert report["b"]["dropped"]["duplicate"] == 50
    assert report["b"]["dropped"]["near_duplicate"] >= 45
    assert report["b"]["kept"] + sum(report["b"]["dropped"].values()) == report["b"]["read"] == 100
    assert len(report["b"]["examples"]["near_duplicate"]) == 3
    exact = prepare.prepare(replace(two_sources, near_duplicates=0.0), tmp_path, tmp_path / "exact")
    assert exact["b"]["dropped"] == {"duplicate": 50}
    for row, count in report.items():
        lines = [documents_path(tmp_path / "run", split, row).read_text().splitlines() for split in ("train", "valid")]
        assert [len(lines[0]) + len(lines[1]), len(lines[1])] == [count["kept"], count["valid"]]


def test_processes_change_nothing(two_sources: DataRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = prepare.prepare(two_sources, tmp_path, tmp_path / "one")
    monkeypatch.setattr(prepare, "WORTH_PROCESSES", 0)
    assert prepare.prepare(two_sources, tmp_path, tmp_path / "many", processes=2) == alone
    assert everything(tmp_path / "many") == everything(tmp_path / "one")


def test_a_stopped_run_goes_on_with_what_is_missing(two_sources: DataRecipe, tmp_path: Path, monkeypatch) -> None:
    whole = prepare.prepare(two_sources, tmp_path, tmp_path / "whole")
    done: list[str] = []
    process = chunks.process

    def counted(chunk, *, recipe, work) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        process(chunk, recipe, work)
        done.append(f"{chunk.source} {chunk.number}")

    monkeypatch.setattr(chunks, "process", counted)
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(two_sources, tmp_path, tmp_path / "run")
    monkeypatch.setattr(chunks, "process", lambda chunk, **more: (process(chunk, **more), done.append("again")))
    assert prepare.prepare(two_sources, tmp_path, tmp_path / "run") == whole
    assert everything(tmp_path / "run") == everything(tmp_path / "whole")
    total = len(done)
    assert done[:2] == ["a 0", "a 1"]
    assert total >= 4
    assert not (tmp_path / "run" / "preparing").exists()
    assert prepare.prepare(two_sources, tmp_path, tmp_path / "run") == whole
    mix = replace(two_sources, sources=tuple(replace(s, epochs=3) for s in two_sources.sources))
    prepare.prepare(mix, tmp_path, tmp_path / "run")
    assert len(done) == total, "done is done, and the mix is another stage's"
    prepare.prepare(replace(two_sources, min_characters=30), tmp_path, tmp_path / "run")
    assert len(done) > total, "another recipe is another run"
    with (tmp_path / "b.txt").open("a") as file:
        file.write("\n<|endoftext|>\n" + text(60))
    assert prepare.prepare(two_sources, tmp_path, tmp_path / "run")["b"]["read"] == 101
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").unlink()
    assert prepare.prepare(two_sources, tmp_path, tmp_path / "run")["b"]["read"] == 101, "the raw texts may go"


def test_the_report_shows_what_was_dropped(two_sources: DataRecipe, tmp_path: Path) -> None:
    prepare.prepare(two_sources, tmp_path, tmp_path / "run")
    page = write_report(Recipe(two_sources), tmp_path / "run").read_text()
    assert "| b | 100 |" in page
    assert "**b**, duplicate: equal to an earlier one but for case, spacing and punctuation (50)" in page
    assert "Tokens and mix" not in page, "there are no tokens yet"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"", "Nothing is left of the sources (the files are empty)"),
        ("a.txt", b"tiny\n<|endoftext|>\nwee\n", "Nothing is left of the sources (2 short)"),
        ("a.txt", b"good line\nthe caf\xe9 was full\n", "line 2 is not UTF-8 (byte 0xe9)"),
        ("a.txt.gz", gzip.compress(b"x" * 5000, mtime=0)[:-30], "is damaged"),
        ("a.txt.bz2", bz2.compress(b"x" * 5000)[:-10], "is damaged"),
        ("a.txt.bz2", b"no bzip2 at all", "is damaged"),
        ("a.txt.xz", lzma.compress(b"x" * 5000)[:-10], "is damaged"),
        ("a.jsonl", b'{"text": "fine as it is"}\n{"text": "cut', "line 2 is not valid JSON"),
        ("a.jsonl", b'{"title": "no text"}\n', "line 1 is no document: it must have a text"),
        ("a.jsonl", b'["a list"]\n', "line 1 is no document"),
        ("a.jsonl", b'{"messages": [{"role": "user", "content": null}]}\n', "line 1 is no document"),
        ("a.pdf", b"%PDF", "is neither .txt"),
    ],
)
def test_bad_input_is_a_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        prepare.prepare(DataRecipe((Source("a", name, "x"),)), tmp_path, tmp_path / "run")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_of_100_mb_is_a_sentence(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.txt.gz", "wb", compresslevel=1) as file:
        file.write(b"first\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    with pytest.raises(RecipeError, match="line 2 is longer than 64 MB: break it into lines"):
        prepare.prepare(DataRecipe((Source("a", "a.txt.gz", "x"),)), tmp_path, tmp_path / "run")


def test_a_file_in_another_encoding_is_read_as_its_source_says(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Le café était plein ce matin.".encode("cp1252"))
    for encoding, sentence in (("cp1252", ""), ("klingon", "there is no encoding 'klingon'")):
        recipe = DataRecipe((Source("a", "a.txt", "x", encoding=encoding),))
        if sentence:
            with pytest.raises(RecipeError, match=sentence):
                prepare.prepare(recipe, tmp_path, tmp_path / "run")
        else:
            assert prepare.prepare(recipe, tmp_path, tmp_path / "run")["a"]["kept"] == 1


def test_a_long_text_without_separators_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PART", 1000)
    book = "\n\n".join(text(30) for _ in range(50))
    (tmp_path / "book.txt").write_text(book)
    parts = [d["text"] for d in documents.read_source(Source("book", "book.txt", "x"), tmp_path)]
    assert len(parts) > 5
    assert "\n".join(parts) == book, "nothing is lost"


def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path) -> None:
    content = "\n<|endoftext|>\n".join(text(30) for _ in range(5)).encode()
    (tmp_path / "a.txt.bz2").write_bytes(bz2.compress(content))
    right = Source("a", "a.txt.bz2", "x", sha256=hashlib.sha256(content).hexdigest().upper())
    assert prepare.prepare(DataRecipe((right,)), tmp_path, tmp_path / "run")["a"]["kept"] == 5
    with pytest.raises(RecipeError, match="is not the file that its sha256 names"):
        prepare.prepare(DataRecipe((replace(right, sha256="0" * 64),)), tmp_path, tmp_path / "other")


def test_parquet_is_read_where_pyarrow_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    parquet.write_table(pyarrow.table({"id": [1, 2], "text": ["one", "two"]}), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"messages": [turns], "topic": ["x"]}), tmp_path / "b.parquet")
    parquet.write_table(pyarrow.table({"title": ["x"]}), tmp_path / "c.parquet")
    (tmp_path / "d.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    digest = hashlib.sha256((tmp_path / "a.parquet").read_bytes()).hexdigest()

    def read(name: str, sha256: str = "") -> list[dict]:
        return list(documents.read_source(Source("s", name, "x", sha256=sha256), tmp_path))

    assert read("a.parquet", digest) == [{"text": "one"}, {"text": "two"}]
    assert read("b.parquet") == [{"messages": turns}]
    for name, sha256, sentence in (
        ("a.parquet", "0" * 64, "is not the file that its sha256 names"),
        ("c.parquet", "", "row 1 is no document"),
        ("d.parquet", "", "is damaged"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            read(name, sha256)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecipeError, match="needs pyarrow to be read: pip install"):
        read("a.parquet")


def test_results_come_in_order_and_only_a_few_items_wait() -> None:
    taken: list[int] = []

    def items():
        for number in range(40):
            taken.append(number)
            yield number

    for index, result in enumerate(ordered_map(abs, items(), 2)):
        assert result == index
        assert len(taken) - index <= 7, "three a process, and one"
    assert list(ordered_map(abs, range(3), 1)) == [0, 1, 2]


def test_a_killed_process_is_a_sentence() -> None:
    with pytest.raises(RecipeError, match="was killed, most likely because memory ran out"):
        list(ordered_map(os._exit, iter([9]), 2))


def test_nothing_reaches_for_the_network(tmp_path: Path) -> None:
    """The language identifier and the rest bring their models in their packages."""
    write(tmp_path / "a.txt", [f"{PROSE} And the café was full {i} times over." for i in range(3)])
    (tmp_path / "recipe.toml").write_text(
        '[data]\nlanguage = "en"\nsources = [{ name = "a", path = "a.txt", licence = "x" }]\n'
    )
    guard = str(Path(__file__).parents[1] / "no_sockets.py")
    command = [sys.executable, guard, "training", "prepare", str(tmp_path / "recipe.toml"), "--data", str(tmp_path)]
    done = subprocess.run([*command, "--run", str(tmp_path / "run")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "kept 1 of 3  valid 0  near_duplicate 2" in done.stdout
    assert f"The report is {tmp_path / 'run' / 'data_report.md'}." in done.stdout


MEASURE = """
import resource, sys
from pathlib import Path
from training.data.prepare import prepare
from training.recipe import DataRecipe, Source
root = Path(sys.argv[1])
prepare(DataRecipe((Source("a", sys.argv[2], "x"),)), root, root / ("run" + sys.argv[2]), processes=1)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    peaks = []
    for name, copies in (("small.jsonl", 8), ("large.jsonl", 48)):
        with (tmp_path / name).open("w") as file:
            for _ in range(copies * 50):
                file.write(json.dumps({"text": "\n\n".join(text(300) for _ in range(10))}) + "\n")
        done = subprocess.run([sys.executable, "-c", MEASURE, str(tmp_path), name], capture_output=True, text=True)
        peaks.append(int(done.stdout.split("peak ")[1]))
    print(f"peak {peaks[0]} MB for 8 MB of text, {peaks[1]} MB for 48 MB")
    assert peaks[1] < peaks[0] + 40
