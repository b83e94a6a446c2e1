"""What others have written (replies, titles, pastes, names) never commands the terminal: the bytes it gets are read."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from assistant.storage.store import Store
from tests.assistant.terminal import Terminal

EVIL = "EVIL\x1b]0;title\x07\x1b[5mblink\x1bc\x9b31m\u202ebidi\x1b]52;c;RVZJTA==\x07\x1b[?1049lE"
FORBIDDEN = ("\x1b]0;", "\x1b]2;", "\x1b]52;", "\x1b[5m", "\x1bc", "\x07", "\x9b", "\u202e", "\x1b[?1049lE")


@pytest.mark.slow
def test_no_control_sequence_from_outside_reaches_the_terminal(data: Path) -> None:
    _fill_with_evil(data)
    with Terminal(data, size=(120, 40)) as terminal:
        terminal.begin()
        terminal.shows("unsent EVIL")
        terminal.shows("title EVIL")
        terminal.type("\x06")  # the search
        terminal.shows("Search all chats")
        terminal.type("question")
        terminal.until(lambda: terminal.text.count("title EVIL") > 1)
        terminal.type("\r")
        terminal.shows("draft EVIL")
        terminal.until(lambda: _at_end(terminal))
        terminal.type("\x0f")  # the models
        terminal.shows("homespun-v0")
        terminal.type("\x1b")
        terminal.until(lambda: "homespun-v0" not in terminal.text)
        terminal.type("\x0e")  # a new chat
        terminal.shows("New chat")
        terminal.shows("unsent EVIL")
        terminal.type("\x15")
        terminal.until(lambda: "unsent EVIL" not in terminal.text)
        terminal.paste(f"pasted {EVIL}")
        terminal.shows("pasted EVIL")
        terminal.type("\x15")
        terminal.type("/export /nowhere/EVIL.md\r")
        terminal.type("\x15ESCAPE\r")
        assert terminal.leave() == 0
    raw = re.sub(rb"\x1b\]22;[a-z-]+\x07", b"", terminal.raw)  # the pointer's shape, which Textual itself sets
    for sequence in FORBIDDEN:
        at = raw.find(sequence.encode())
        assert at < 0, raw[max(at - 60, 0) : at + 9000].decode()


def _at_end(terminal: Terminal) -> bool:
    """Press End, which counts once the messages have the focus; the reply is below the question found."""
    terminal.type("\x1b[F")
    time.sleep(0.3)
    return "code EVIL" in terminal.text


def _fill_with_evil(data: Path) -> None:
    """Chats and a model folder from somebody who means harm, past everything that cleans on the way in."""
    folder = data / "models" / EVIL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    store = Store(data / "chats.db")
    chat, _, reply = store.begin_turn(None, f"question {EVIL}", f"title {EVIL}", EVIL)
    text = f"answer {EVIL}\n\n```{EVIL}\ncode {EVIL}\n```\n\n| {EVIL} |\n|---|\n| {EVIL} |"
    store.finish(reply, text, "complete")
    store.save_draft(chat, f"draft {EVIL}")
    store.save_draft(None, f"unsent {EVIL}")
    store.close()
