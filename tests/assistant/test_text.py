from __future__ import annotations

from datetime import UTC, datetime

import pytest

from assistant.text import ago, make_title, printable


def test_printable_keeps_words_and_drops_what_rewrites_a_terminal() -> None:
    assert printable("a\r\nb\tc\rd") == "a\nb\tc\nd"
    assert printable("\x1b[31mred\x07\x00\u202e") == "[31mred"
    assert printable("👩‍👩‍👧 e\u0301 世界") == "👩‍👩‍👧 e\u0301 世界"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("\n\n  # A *title*\nmore", "A title"),
        ("word " * 30, "word word word word word word word word…"),
        ("x" * 60, "x" * 40 + "…"),
        ("***", "New chat"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert make_title(text) == title


def test_ago() -> None:
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    moments = {"2026-11-24T11:59:50+00:00": "now", "2026-11-24T11:55:00+00:00": "5 min"}
    moments |= {"2026-11-24T09:00:00+00:00": "3 h", "2026-11-23T09:00:00+00:00": "yesterday"}
    moments |= {"2026-11-04T09:00:00+00:00": "4 Nov", "2025-11-04T09:00:00+00:00": "4 Nov 2025"}
    assert {moment: ago(moment, now) for moment in moments} == moments
