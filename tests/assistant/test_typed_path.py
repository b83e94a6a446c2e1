"""Paths as they are typed, dropped and copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.prompting.typed_path import dropped_file, typed_path


@pytest.mark.parametrize(
    "written", ["{}", " {}\n", "'{}'", '"{}"', "{escaped}", "file://{}", "file://{url}", "file:{url}"]
)
def test_whatever_a_terminal_makes_of_a_path(tmp_path: Path, written: str) -> None:
    file = tmp_path / "my mail (1).eml"
    file.touch()
    text = written.format(
        file, escaped=str(file).replace(" ", "\\ ").replace("(", "\\(").replace(")", "\\)"), url=file.as_uri()[7:]
    )
    assert typed_path(text) == file
    assert bool(dropped_file(text)) is True


def test_what_stands_there_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("'quoted'", "quoted"):
        (tmp_path / name).touch()
    assert typed_path("~/'quoted'") == tmp_path / "'quoted'"
    assert typed_path("~/nothing") == tmp_path / "nothing"
    for text in ("it's", "a\0b", "x" * 5000, "", "file://[", "lunch at /bin"):
        typed_path(text)
        assert dropped_file(text) == ""
    assert dropped_file(str(tmp_path)) == "", "a folder is no file"
    assert dropped_file("~/quoted\n\nand words") == ""
