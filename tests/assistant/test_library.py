"""Documents: read, cut into passages, indexed, found, read again when they change, and removed for real."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli import main
from assistant.errors import LibraryError
from assistant.library.adding import add, new_name
from assistant.library.blocks import Block, markdown_blocks
from assistant.library.chunking import OVERLAP, TARGET, passages
from assistant.library.extracting import extract
from assistant.library.grounding import budget, chosen, label, most, with_passages
from assistant.library.indexing import index, read
from assistant.library.refreshing import Refresher
from assistant.library.walking import changes
from assistant.library.words import query
from assistant.storage.libraries import Source
from assistant.storage.store import Store
from tests.assistant.document_files import write_docx, write_pdf


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "chats.db")
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "house.md").write_text(
        "# House\n\n## Key\n\nThe spare key is under the blue flowerpot.\n\n## Roof\n\nRed."
    )
    (folder / "deep" / "sea.txt").write_text("The lighthouse of Ondrey is kept by Marla.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.txt").write_text("secret")
    return folder


def test_markdown_has_headings_and_code_in_one_piece() -> None:
    text = "Title\n=====\n\nOne\ntwo\n\n```sh\n# no heading\n\nls\n```\n## Part ##\n- a\n- b\n"
    assert markdown_blocks(text) == [
        Block("Title", 1),
        Block("One\ntwo"),
        Block("```sh\n# no heading\n\nls\n```"),
        Block("Part", 2),
        Block("- a\n- b"),
    ]


def test_passages_stand_under_their_headings_and_overlap() -> None:
    sentences = [f"Sentence number {n} says a little more." for n in range(60)]
    blocks = [
        Block("A", 1),
        Block("B", 3),
        Block("short"),
        Block("C", 2),
        Block(" ".join(sentences)),
        Block("end", page=2),
    ]
    made = passages(blocks)
    assert [(p.heading, p.text) for p in (made[0], made[-1])] == [("A › B", "short"), ("A › C", "end")]
    assert made[-1].page == 2
    long = [p.text for p in made if p.heading == "A › C" and p.page is None]
    assert len(long) > 3
    for before, after in itertools.pairwise(long):
        first = after.split(". ")[0]
        assert first in before, "a passage begins with the end of the one before"
        assert len(after) <= TARGET + OVERLAP
    assert all(any(s in p for p in long) for s in sentences), "nothing is lost"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from('ab .\n。"'), max_size=1500), max_size=4))
def test_no_letter_is_lost_and_no_passage_is_long(texts: list[str]) -> None:
    made = passages([Block(text) for text in texts if text.strip()])
    assert all(len(p.text) <= TARGET + OVERLAP + 4 for p in made)
    joined = "".join(p.text for p in made)
    for letter in 'ab。"':
        assert joined.count(letter) >= sum(text.count(letter) for text in texts)


def test_files_of_all_kinds(tmp_path: Path) -> None:
    pdf = write_pdf(tmp_path / "a.pdf", "The first page is about light-\nhouses on the sea.", "Second page.")
    assert extract(pdf) == [
        Block("The first page is about lighthouses on the sea.", page=1),
        Block("Second page.", page=2),
    ]
    docx = write_docx(tmp_path / "a.docx", ("Key", True), ("Under the pot & so on.", False))
    assert extract(docx) == [Block("Key", 1), Block("Under the pot & so on.")]
    (tmp_path / "a.html").write_text("<style>x</style><h2>Part</h2><ul><li>one</li><li><p>two</p></li></ul><p>a  b</p>")
    assert extract(tmp_path / "a.html") == [Block("Part", 2), Block("one"), Block("two"), Block("a b")]
    (tmp_path / "a.txt").write_bytes("caf\xe9 \x1b[31mred".encode("cp1252"))
    assert extract(tmp_path / "a.txt") == [Block("café [31mred")]
    (tmp_path / "b.txt").write_bytes("\ufeffzwei".encode("utf-16"))
    assert extract(tmp_path / "b.txt")[0].text.endswith("zwei")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.pdf", b"%PDF-1.4 nothing", "damaged"),
        ("a.docx", b"PK\x03\x04 nothing", "damaged"),
        ("a.txt", b"\0\1\2" * 99, "no text"),
        ("a.txt", b" \n ", "no text in it"),
        ("a.exe", b"x", "kind .exe"),
    ],
)
def test_files_that_cannot_be_read_say_why(name: str, data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    found, problem = read(tmp_path / name)
    assert found == []
    assert why in problem
    assert read(tmp_path / "gone.txt")[1] == "It cannot be read: No such file or directory."


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.library.indexing.SECONDS", 1)
    os.mkfifo(tmp_path / "pipe.txt")  # opening it waits for ever
    assert "longer than 1 seconds" in read(tmp_path / "pipe.txt")[1]


def test_found_by_the_rare_words_in_any_form(store: Store, folder: Path) -> None:
    add(store, "notes", str(folder))
    index(store, "notes")
    (library,) = store.libraries()
    assert (library.documents, library.passages, library.problems) == (2, 3, 0)
    best = store.find("notes", "Where are the spare KEYS, please?")[0]
    assert (Path(best.path).name, best.heading) == ("house.md", "House › Key")
    assert label(best) == "house.md › House › Key"
    assert store.find("notes", "zebra") == []
    assert store.find("notes", "?!\"'*()") == []
    assert store.find("other", "key") == []


def test_scripts_without_spaces_are_found(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("昨日、東京の図書館で本を読みました。")
    add(store, "j", str(tmp_path / "a.txt"))
    index(store, "j")
    assert store.find("j", "図書館はどこ")
    assert not store.find("j", "京東"), "not the other way round"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_question_can_be_asked(question: str) -> None:
    store = Store(None)
    try:
        words = query(question)
        if words:
            store._all("SELECT rowid FROM passages_fts WHERE passages_fts MATCH ?", words)
    finally:
        store.close()


def test_only_what_changed_is_read_again(store: Store, folder: Path) -> None:
    add(store, "notes", str(folder))
    index(store, "notes")
    assert not changes(store.sources("notes"), store.stamps("notes"))
    (folder / "house.md").write_text("The spare key is now in the shed, and more.")
    (folder / "deep" / "sea.txt").unlink()
    (folder / "new.txt").write_text("A new lantern.")
    todo = changes(store.sources("notes"), store.stamps("notes"))
    assert ([p.name for p in todo.read], [Path(p).name for p in todo.gone]) == (["house.md", "new.txt"], ["sea.txt"])
    index(store, "notes")
    assert "shed" in store.find("notes", "spare key")[0].text
    assert store.find("notes", "flowerpot") == store.find("notes", "lighthouse") == []
    assert store.find("notes", "lantern")


def test_removing_is_for_real(store: Store, folder: Path, tmp_path: Path) -> None:
    add(store, "notes", str(folder))
    index(store, "notes")
    chat, _, reply = store.begin_turn(None, "Where?", "Where?", "m")
    store.give_library(chat, "notes")
    store.cite(reply, "notes", store.find("notes", "spare key"))
    assert store.citations(chat)[reply]
    store.remove_library("notes")
    assert (store.libraries(), store.citations(chat), store.library_of(chat)) == ([], {}, "")
    for file in tmp_path.glob("chats.db*"):
        for word in (b"flowerpot", b"lighthouse"):
            assert word not in file.read_bytes().lower(), file


def test_sources_go_along_into_a_fork_and_come_back_with_an_undo(store: Store) -> None:
    chat, _, reply = store.begin_turn(None, "Where?", "Where?", "m")
    given = [Source("a.md", "H", 2, "text"), Source("b.md", "", None, "more")]
    store.cite(reply, "notes", given)
    fork = store.fork(reply, "fork")
    assert list(store.citations(fork).values()) == [given]
    store.mark(reply, -1, "Here.")
    for remove in (store.remove_branch, store.remove_one):
        removed = remove(reply)
        assert (store.citations(chat), store.mark_of(reply)) == ({}, (0, ""))
        assert store.restore(removed)
        assert (store.citations(chat), store.mark_of(reply)) == ({reply: given}, (-1, "Here."))


def test_taking_a_folder_out_leaves_the_rest(store: Store, folder: Path) -> None:
    add(store, "notes", str(folder / "deep"))
    add(store, "notes", str(folder / "house.md"))
    index(store, "notes")
    store.remove_source("notes", str(folder / "deep"))
    assert [Path(d.path).name for d in store.documents("notes")] == ["house.md"]
    assert store.find("notes", "lighthouse") == []


def test_names_and_places(store: Store, folder: Path) -> None:
    assert new_name(folder, {"notes"}) == "notes 2"
    for wish, name, why in (
        (str(folder / "no"), "x", "There is no"),
        ("/", "x", "whole disk"),
        (str(folder), "-", "1 to"),
    ):
        with pytest.raises(LibraryError, match=why):
            add(store, name, str(wish))
    with pytest.raises(LibraryError, match="can be written"):
        add(Store(None), "x", str(folder))


def test_passages_that_fit() -> None:
    found = [Source("a.md", "", None, text) for text in "abcde"]
    assert [s.text for s in chosen(found, [100, 300, 100, 50, 50], 260, 3)] == ["a", "c", "d"]
    assert budget(1024, 20, 512) == 409
    assert budget(1024, 700, 512) == 1024 - 256 - 700 - 40
    assert budget(256, 400, 512) == 0
    assert (most(1024), most(4096), most(40960)) == (3, 8, 8)
    assert with_passages("Why?", []) == "Why?"
    assert with_passages("Why?", [Source("a.md", "H", 1, "best"), found[1]]) == "b\n\nH\nbest\n\nWhy?"


async def test_read_in_a_process_of_its_own(store: Store, folder: Path, tmp_path: Path) -> None:
    add(store, "notes", str(folder))
    told: list[tuple[str, bool]] = []
    refresher = Refresher(tmp_path / "chats.db", lambda said, bad: told.append((said, bad)))
    assert await refresher.stale("notes")
    assert await refresher.start("notes") == "notes: 2 documents read."
    assert not await refresher.stale("notes")
    assert store.find("notes", "lighthouse")
    store.remove_library("notes")
    assert await refresher.start("notes") == ""
    for n in range(300):
        (folder / f"{n}.txt").write_text("word " * 2000)
    add(store, "notes", str(folder))
    task = refresher.start("notes")
    while not store.documents("notes"):
        await asyncio.sleep(0.01)
        assert not task.done(), (told, refresher.lines)
    refresher.stop("notes")
    await asyncio.wait({task})
    kept = len(store.documents("notes"))
    await asyncio.sleep(0.1)
    assert 0 < len(store.documents("notes")) == kept < 302
    assert told == [("notes: 2 documents read.", False), ("Stopped reading notes; what was read is kept.", False)]
    await refresher.close()


def test_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "data"), "library", *words])
        return result.exit_code, result.output.strip()

    assert run()[1] == "There are no libraries. Make one: homespun library add FOLDER"
    (folder / "bad.pdf").write_bytes(b"no pdf")
    code, said = run("add", str(folder))
    assert (code, said.splitlines()[-1]) == (0, "notes: 3 documents read, 1 of them cannot be used.")
    assert "bad.pdf: It is damaged, or no PDF." in said
    assert run("list")[1].startswith("notes  2 documents, 3 passages, 1 that cannot be used")
    assert run("read", "notes")[1].splitlines()[-1] == "notes: nothing has changed."
    code, said = run("find", "notes", "spare", "key")
    assert "house.md › House › Key" in said
    assert "blue flowerpot" in said
    assert run("find", "none", "key") == (2, "Error: There is no library none. There are: notes.")
    assert run("remove", "notes")[0] == 2
    assert run("remove", "notes", "--yes") == (0, "notes is removed; its documents are where they were.")
    code, said = run("add", str(folder / "nothing"))
    assert (code, said) == (2, f"Error: There is no {folder}/nothing.")
