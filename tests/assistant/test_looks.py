"""The pictures as a whole: every screen has some, at both sizes, and each is drawn by a test."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

from textual.screen import Screen

import assistant
from tests.assistant.album import FOLDER

HERE = Path(__file__).parent
TEXTUALS_OWN = {"CommandPalette"}


def screens() -> set[str]:
    """The names of all screens of ours that others are not made from."""
    for module in pkgutil.walk_packages(assistant.__path__, "assistant."):
        importlib.import_module(module.name)
    found: set[str] = set()
    todo: list[type] = [Screen]
    while todo:
        kind = todo.pop()
        below = [k for k in kind.__subclasses__() if k.__module__.startswith(("assistant.", "textual."))]
        todo += below
        if not below and kind.__module__.startswith("assistant."):
            found.add(kind.__name__)
    return found


def test_every_screen_is_in_a_picture_at_both_sizes() -> None:
    for size in ("80x24", "120x40"):
        shown = {path.read_text().rstrip().rpartition("--- ")[2] for path in FOLDER.glob(f"*-{size}.txt")}
        assert not screens() - shown, f"no picture at {size}: take some in a test_looks_*.py"
        assert not shown - screens() - TEXTUALS_OWN, "these screens are gone: delete their pictures"


def test_every_picture_is_taken_by_a_test() -> None:
    taken = {
        n for file in HERE.glob("test_looks_*.py") for n in re.findall(r'(?:take|above)\("(\w+)', file.read_text())
    }
    kept = {path.name.rpartition("-")[0] for path in FOLDER.glob("*.txt")}
    assert kept == taken
