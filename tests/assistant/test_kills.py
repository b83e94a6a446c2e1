"""kill -9 in the real terminal, a few times; `python -m tests.benchmarks kills` does it hundreds of times."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from assistant.storage.store import Store
from tests.assistant.killing import Toll, kill_engines, kill_window
from tests.assistant.terminal import Terminal

GRACE = 3.0  # seconds; the promise is one, and a busy machine needs more


@pytest.mark.slow
def test_a_killed_window_loses_no_word_and_damages_nothing(tmp_path: Path) -> None:
    luck, toll = random.Random(5), Toll()
    for number in range(3):
        kill_window(tmp_path / "data", luck, f"k{number}", toll, GRACE)
    assert not toll.lost
    assert not toll.damage
    assert toll.kills == 3


@pytest.mark.slow
def test_a_killed_engine_is_told_of_and_the_next_question_is_answered(tmp_path: Path) -> None:
    toll = Toll()
    kill_engines(tmp_path / "data", random.Random(6), toll, 2)
    assert not toll.lost
    assert not toll.damage
    assert toll.kills == 2


@pytest.mark.slow
def test_a_window_whose_terminal_is_gone_ends_and_keeps_what_was_typed(data: Path) -> None:
    """Nobody tells it: it is not the terminal's session. Reading from what is gone would go on for ever."""
    with Terminal(data) as terminal:
        terminal.begin()
        terminal.type("half a thought")
        terminal.shows("half a thought")
        terminal.vanish()
        terminal.process.wait(timeout=30)
    store = Store(data / "chats.db")
    assert "half a thought" in str([tuple(row) for row in store._all("SELECT value FROM settings")])
    store.close()
