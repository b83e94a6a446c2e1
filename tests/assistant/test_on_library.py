"""Documents in the window: a chat that answers from a library, its sources, and the screen of all libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Label, OptionList, Static

from assistant.screens.chat.sources import SourcesScreen
from assistant.screens.libraries import DocumentsScreen, LibrariesScreen
from assistant.widgets.reply import ReplyView


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "key.md").write_text("# Key\n\nIt is under the blue flowerpot.")
    (folder / "sea.txt").write_text("Marla keeps a lighthouse.")
    return folder


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.library.librarian.PATIENCE", 60.0)  # the machine may be busy


def sources(it) -> list[str]:
    return [view.text[view.text.index("From the") :] for view in it.screen.query(ReplyView) if view.sources]


async def test_a_chat_answers_from_a_folder_and_shows_what_of_it(opened, folder: Path) -> None:
    async with opened((100, 30)) as it:
        await it.send(f"/library {folder}")
        assert "This chat answers from notes" in it.notified
        await it.ask("Where is the flowerpot?")
        assert it.replies[0].startswith("You said: **Key\nIt is under the blue flowerpot.")
        assert it.texts[0] == "Where is the flowerpot?", "what was typed is kept as it was typed"
        assert sources(it) == ["From the documents (Enter opens):\n1 key.md › Key: It is under the blue flowerpot."]
        assert "from notes" in str(it.screen.query_one("#title", Static).content)
        it.transcript.focus()
        await it.pilot.press("enter")
        assert isinstance(it.app.screen, SourcesScreen)
        assert "blue flowerpot" in str(it.app.screen.query_one("#passage", Static).content)
        await it.pilot.press("escape")
        (folder / "key.md").write_text("# Key\n\nThe flowerpot is gone; ask Tom.")
        it.prompt.focus()
        await it.ask("Where is the flowerpot now?")
        assert "ask Tom" in it.app.store.citations(1)[4][0].text, "a changed file is read again first"
        assert len(sources(it)) == 2
        await it.ask("And why?")
        assert it.app.store.citations(1)[6][0].heading == "Key", "that is about what was asked before"
        await it.pilot.press("ctrl+n")
        await it.send("/library notes")
        await it.ask("Zebra?")
        assert "Nothing in the library notes has words" in it.notified
        await it.send("/library -")
        await it.ask("flowerpot")
        assert it.replies[-1] == "You said: **flowerpot**"


async def test_sources_stay_with_the_chat_and_open_by_a_click(opened, folder: Path) -> None:
    async with opened((100, 30)) as it:
        await it.send(f"/library {folder}")
        await it.ask("lighthouse or flowerpot")
        assert len(it.app.store.citations(1)[2]) == 2
    async with opened((100, 30)) as it:
        await it.screen.open_chat(1)
        await it.pilot.pause()
        view = it.screen.query_one(ReplyView)
        await it.pilot.click(view, offset=(3, view.size.height - 1))
        assert isinstance(it.app.screen, SourcesScreen)
        assert it.app.screen.query_one(OptionList).highlighted == 1


async def test_a_chat_that_is_never_written_has_documents_too(opened, folder: Path) -> None:
    async with opened() as it:
        await it.pilot.press("ctrl+g")
        await it.send(f"/library {folder}")
        await it.ask("lighthouse")
        assert it.screen.store is it.app.service.temporary
        assert len(sources(it)) == 1
        assert it.app.store._all("SELECT * FROM citations") == []


async def test_going_on_with_a_reply_uses_the_same_passages(opened, folder: Path) -> None:
    async with opened() as it:
        await it.send(f"/library {folder}")
        await it.ask("lighthouse")
        it.app.store._run("UPDATE messages SET status = 'stopped' WHERE id = 2")
        before = it.app.store.citations(1)
        await it.screen.show()
        await it.pilot.press("f6")
        await it.until(lambda: it.screen._live is None and "continued" in it.texts[-1])
        assert it.app.store.citations(1) == before


async def test_an_unknown_library_is_a_sentence(opened) -> None:
    async with opened() as it:
        await it.send("/library nowhere")
        assert "There is no library nowhere" in it.notified
        assert it.prompt.text == "/library nowhere"


async def test_the_libraries_screen(opened, folder: Path) -> None:
    async with opened((80, 24)) as it:
        await it.pilot.press("f11")
        screen = it.app.screen
        assert isinstance(screen, LibrariesScreen)
        assert "no documents here yet" in str(screen.query_one("#none", Label).content)
        await it.pilot.press("a")
        it.app.screen.query_one(Input).value = str(folder)
        await it.pilot.press("enter")
        await it.pilot.pause()
        assert it.app.screen.query_one(Input).value == "notes"
        await it.pilot.press("enter")
        await it.until(lambda: "2 documents, 2 passages" in lines(screen))
        assert "notes: 2 documents read." in it.notified
        (folder / "more.txt").write_text("More.")
        await it.pilot.press("r")
        await it.until(lambda: "3 documents" in lines(screen))
        await it.pilot.press("d")
        await it.pilot.pause()
        assert isinstance(it.app.screen, DocumentsScreen)
        assert "sea.txt" in lines(it.app.screen)
        await it.pilot.press("delete")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.pilot.pause()
        assert it.app.store.sources("notes") == []
        await it.pilot.press("escape")
        await it.pilot.pause()
        await it.pilot.press("enter")
        await it.until(lambda: it.screen.library == "notes")
        await it.pilot.press("f11")
        await it.pilot.pause()
        await it.pilot.press("delete")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.until(lambda: it.app.store.libraries() == [])
        await it.pilot.press("escape")
        await it.until(lambda: it.screen.library == "")


async def test_reading_can_be_stopped(opened, folder: Path) -> None:
    for n in range(400):
        (folder / f"{n}.txt").write_text("word " * 12_000)  # so that it takes a while
    async with opened() as it:
        await it.send(f"/library {folder}")
        await it.pilot.press("f11")
        await it.until(lambda: " of 402" in str(it.app.screen.query_one("#progress", Label).content))
        await it.pilot.press("s")
        await it.until(lambda: "Stopped reading notes" in it.notified)
        assert 0 < len(it.app.store.documents("notes")) < 402


def lines(screen) -> str:
    options = screen.query_one(OptionList)
    return "\n".join(str(options.get_option_at_index(n).prompt) for n in range(options.option_count))
