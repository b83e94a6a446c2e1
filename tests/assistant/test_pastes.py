"""What is pasted is text, whatever stands in it and in whatever pieces it comes."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from assistant.prompting import pastes
from assistant.prompting.pastes import END, START
from tests.assistant.terminal import Terminal

EVIL = st.lists(
    st.sampled_from(["word ", "\x1b", "\x1b]0;title\x07", "\x1b[5m", "\x1b[A", START, "\x1b[20", "é", "\n", "[201~"]),
    max_size=12,
).map("".join)


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    pastes.install()


def fed(*pieces: str) -> list[object]:
    parser = XTermParser()
    return [event for piece in pieces if piece for event in parser.feed(piece)]


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(p % (len(text) + 1) for p in places)})
    return [text[a:b] for a, b in pairwise(edges)]


@given(EVIL, st.lists(st.integers(0, 400), max_size=6))
def test_a_paste_is_one_text_and_no_key(text: str, places: list[int]) -> None:
    if END in text:
        return
    found = fed(*cut(f"a{START}{text}{END}b", places))
    assert [e.key for e in found if isinstance(e, events.Key)] == ["a", "b"]
    wanted = text.replace("\x1b", "")
    assert [e.text for e in found if isinstance(e, events.Paste)] == [wanted]


def test_keys_are_passed_on_at_once() -> None:
    assert [e.key for e in fed("\x1b[A", "\x1bOP", "x")] == ["up", "f1", "x"]
    parser = XTermParser()
    assert list(parser.feed("\x1b")) == []  # Textual waits for what may follow; nothing of ours holds it back
    assert [e.key for e in parser.feed("[B")] == ["down"]


def test_bytes_of_old_mail_are_letters_and_do_not_end_the_window(data: Path) -> None:
    """A terminal passes on what was copied, whatever its encoding was."""
    with Terminal(data) as it:
        it.begin()
        for piece in (b"\x1b[200~J\xfcrgen caf\xe9 \x80 5 \xc3", b"\xbcber \x81\xff\x1b[201~"):
            os.write(it._master, piece)
        it.shows("Jürgen café € 5 über")
        it.type(" and on")
        it.shows("and on")
        assert it.leave() == 0
        assert b"Traceback" not in it.raw
