"""How documents look: the libraries, what is in one, a reply with its sources, and the passages themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.screens.chat.sources import SourcesScreen
from assistant.screens.libraries import DocumentsScreen, LibrariesScreen
from tests.assistant.album import SIZES


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.library.librarian.PATIENCE", 60.0)  # the machine may be busy


@SIZES
async def test_the_libraries_and_their_passages(album, size, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "key.md").write_text("# Key\n\nIt is under the blue flowerpot, behind the house.")
    (tmp_path / "notes" / "garden.md").write_text("# Garden\n\nThe flowerpot was blue; now there are two of them.")
    (tmp_path / "notes" / "broken.pdf").write_bytes(b"no PDF")
    async with album(size) as it:
        await it.pilot.press("f11")
        await it.shows(LibrariesScreen)
        await it.take("libraries_empty")
        await it.back()
        await it.send("/library notes")
        await it.ask("Where is the blue flowerpot?")
        await it.take("sources_in_chat")
        await it.pilot.press("shift+tab", "enter")
        await it.shows(SourcesScreen)
        await it.take("sources")
        await it.back()
        await it.pilot.press("f11")
        await it.shows(LibrariesScreen)
        it.app.service.refresher.lines["notes"] = "12 of 340 · letters/2019/to the council.docx"
        it.app.screen._look()
        await it.take("libraries")
        it.app.service.refresher.lines.clear()
        await it.pilot.press("d")
        await it.shows(DocumentsScreen)
        await it.take("documents")
