"""TextStream: whole characters only, and stop strings wherever the tokens are cut."""

from __future__ import annotations

import random

import pytest

from engine.text.text_stream import TextStream

TEXT = "Héllo 👩‍👩‍👧 世界! 🏳️‍🌈 e\u0301 العربية"


def run(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], TextStream]:
    stream = TextStream(stop)
    shown = [stream.push(piece) for piece in pieces]
    return [*shown, stream.finish()], stream


def cuts(data: bytes, random: random.Random) -> list[bytes]:
    places = sorted(random.sample(range(1, len(data)), min(6, len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def test_byte_by_byte_never_half_a_character() -> None:
    shown, _ = run([bytes([byte]) for byte in TEXT.encode()])
    assert "".join(shown) == TEXT
    assert "\ufffd" not in "".join(shown)


def test_an_unfinished_character_at_the_end_is_left_out() -> None:
    shown, _ = run([b"ab", "👍".encode()[:3]])
    assert "".join(shown) == "ab"


def test_bytes_that_make_no_character_are_left_out() -> None:
    shown, _ = run([b"a\xff\xfeb"])
    assert "".join(shown) == "ab"


@pytest.mark.parametrize("stop", ["END", "\n\nUser:", "世界", "aab"])
def test_stop_strings_straddle_any_cut(stop: str) -> None:
    numbers = random.Random(0)
    for _ in range(200):
        before = "".join(numbers.choice("aabEN\n世U") for _ in range(12))
        at = (before + stop).find(stop)
        shown, stream = run(cuts((before + stop + " and more").encode(), numbers), (stop,))
        assert "".join(shown) == (before + stop)[:at]
        assert stream.stopped


def test_text_that_only_begins_like_a_stop_string_is_shown_in_the_end() -> None:
    stream = TextStream(("STOP",))
    assert stream.push(b"go ST") == "go "
    assert stream.push(b"ART") == "START"
    assert stream.push(b" STO") == " "
    assert stream.finish() == "STO"
    assert not stream.stopped


def test_the_earliest_of_several_stop_strings_wins() -> None:
    shown, _ = run([b"one two three"], ("three", "two"))
    assert "".join(shown) == "one "
