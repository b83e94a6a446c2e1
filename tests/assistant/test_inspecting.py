"""What one sees inside a reply, without a screen: pieces, records, layout, shades, attention, branches."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import pytest
from textual.color import Color

from assistant.inspecting import pieces as of_pieces
from assistant.inspecting.flow import Flow
from assistant.inspecting.heat import Heat, Row, relative, strongest
from assistant.inspecting.inspection import Inspection
from assistant.inspecting.pieces import Records, read_piece, visible
from assistant.inspecting.shades import LEVELS, bar, blocks, column_of, digit, percent, squeezed, surprise_level
from assistant.settings.themes import DARK, LIGHT
from assistant.widgets.tokens import shaded
from engine.questions import Attention, Inspected

MODEL = Path("/a/model")


def row(token: int, text: str, probability: float, others: tuple[tuple[int, str, float], ...] = ()) -> dict:
    every = [(token, text, probability), *others]
    return {
        "token": token,
        "text": text,
        "log_probability": math.log(probability),
        "alternatives": [[t, math.log(p)] for _, t, p in every],
        "ids": [i for i, _, _ in every],
    }


def found(*reply: dict) -> Inspection:
    seen = Inspection()
    prompt = ({"token": 7, "text": "<|s|>", "special": True}, {"token": 8, "text": "Hi", "special": False})
    seen.found(Inspected("i", prompt, reply, row(9, "<|e|>", 0.5, ((1, "a", 0.2),)), (9,), 2, 3))
    return seen


def test_what_could_move_the_cursor_is_made_visible() -> None:
    assert visible("a\n\tb") == "a↵\n⇥b"
    assert "\x1b" not in visible("\x1b[31m\u202e\x07")
    assert visible("\x1b[31m") == "␛[31m"
    piece = read_piece(row(3, "\x1b", 0.25, ((4, "\r", 0.5),)))
    assert (piece.text, piece.choices[1].text) == ("␛", "␍")
    assert piece.probability == pytest.approx(0.25)


def test_a_record_gives_its_tokens_only_for_the_reply_it_was_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records()
    records.begin(1, MODEL)
    records.add(1, [row(3, "a", 0.5), row(4, "b", 0.5)])
    assert records.tokens(1, "ab", MODEL) == (), "not finished"
    records.close(1, "ab")
    assert records.tokens(1, "ab", MODEL) == (3, 4)
    assert records.tokens(1, "ab", Path("/other")) == ()
    assert records.tokens(1, "changed", MODEL) == ()
    records.begin(2, MODEL, begun="what was there")
    records.close(2, "what was there")
    assert records.tokens(2, "what was there", MODEL) == ()
    monkeypatch.setattr(of_pieces, "KEPT_PIECES", 1)
    records.close(2, "x")
    assert records.of(1) is None, "the oldest goes when there are too many"
    assert records.of(2) is not None


def lines(flow: Flow) -> list[str]:
    return ["".join(span.text for span in line) for line in flow.lines]


def test_lines_break_where_words_begin() -> None:
    flow = Flow(12)
    for text in ("The", " quick", " bro", "wn", " fox", "↵\n", "", "end", "less" * 5):
        flow.add(text)
    assert lines(flow) == ["The quick", " brown fox↵", "endlesslessl"[:3], "lesslessless", "lessless"]
    assert flow.where == [0, 0, 1, 1, 1, 1, 2, 2, 3]
    assert flow.at(1, 1) == 2
    assert flow.at(4, 1) == 3
    assert flow.at(40, 1) is None
    assert flow.at(0, 99) is None
    assert flow.beside(0, 1) == 2
    assert flow.beside(8, 1) == 8 or flow.where[flow.beside(8, 1)] >= 3
    wide = Flow(4)
    wide.add("日本語")
    assert lines(wide) == ["日本", "語"]


def test_shades_digits_bars_and_words() -> None:
    assert [surprise_level(p) for p in (None, 1.0, 0.5, 0.0)] == [0, 0, LEVELS // 2, LEVELS]
    assert [digit(p) for p in (None, 0.95, 0.34, 0.001)] == ["", "", "₃", "₀"]
    assert blocks([0.0, 0.02, 1.0]) == " ▁█"
    assert bar(0.5, 4) == "██  "
    assert bar(2.0, 3) == "███"
    assert [percent(p) for p in (1.0, 0.97, 0.042, 0.0003, 1e-9)] == ["100 %", "97 %", "4.2 %", "0.03 %", "< 0.01 %"]


def test_a_long_strip_is_squeezed_by_its_strongest() -> None:
    weights = [0.0] * 100
    weights[57] = 0.9
    strip = squeezed(weights, 10)
    assert len(strip) == 10
    assert strip[column_of(57, 100, 10)] == 0.9
    assert sum(strip) == 0.9
    assert [column_of(place, 100, 7) for place in (0, 13, 14, 99)] == [0, 0, 1, 6]


def contrast(one: Color, other: Color) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: Color) -> float:
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("colour", ["primary", "secondary"])
def test_text_can_be_read_on_the_strongest_shade(theme, colour: str) -> None:
    values = theme.to_color_system().generate()
    ground = shaded(values, colour, LEVELS)
    assert contrast(Color.parse(values["foreground"]), ground) >= 4.5, "WCAG's AA"
    assert ground != shaded(values, colour, LEVELS // 2)


def heat() -> Heat:
    """Two layers of two heads over three places; head h of layer l is all on place l + h."""
    steps = [255 if place == layer + head else 0 for layer in (0, 1) for head in (0, 1) for place in range(3)]
    return Heat(Attention("a", 2, 2, 2, 1, base64.b64encode(bytes(steps)).decode()))


def test_attention_by_layer_and_head() -> None:
    assert heat().weights(Row(1, 0)) == [0, 1, 0]
    assert heat().weights(Row(0)) == [0.5, 0.5, 0]
    assert [r.name.strip() for r in heat().rows(1)] == ["layer 1", "layer 2", "head 1", "head 2"]
    assert strongest([0.1, 0.7, 0.2], 2) == [(1, 0.7), (2, 0.2)]
    assert relative([0.1, 0.05, 0.0]) == [1, 0.5, 0]
    assert relative([0.0]) == [0]
    long = Heat(Attention("a", 4, 1, 1, 2, base64.b64encode(bytes([255, 0, 0])).decode()))
    assert long.of_places(Row(0)) == [0.5, 0.5, 0, 0, 0]
    with pytest.raises(ValueError, match="not as many"):
        Heat(Attention("a", 4, 1, 1, 2, ""))


def test_the_cursor_follows_a_reply_until_it_is_moved_and_keeps_its_token_in_the_whole() -> None:
    seen = Inspection()
    assert seen.told([read_piece(row(1, "a", 0.9))])
    assert not seen.told([read_piece(row(1, "a", 0.9))])
    seen.told([read_piece(row(t, "a", 0.9)) for t in (1, 2, 3)])
    assert seen.cursor == 2
    seen.go(1)
    seen.told([read_piece(row(t, "a", 0.9)) for t in (1, 2, 3, 4)])
    assert seen.cursor == 1
    assert isinstance(seen.branch(1), str), "not while it is made"
    prompt = ({"token": 7, "text": "<|s|>", "special": True},) * 5
    rows = tuple(row(t, "a", 0.9) for t in (1, 2, 3, 4))
    seen.found(Inspected("i", prompt, rows, row(9, "e", 0.5), (9,), 0, 0))
    assert seen.piece is not None
    assert (seen.cursor, seen.piece.token) == (6, 2)


def test_branches_and_what_cannot_be_one() -> None:
    seen = found(row(1, "a", 0.9, ((2, "b", 0.05), (9, "<|e|>", 0.01))), row(3, "c", 0.2, ((4, "d", 0.1),)))
    assert seen.cursor == 2
    assert seen.branch(2) == (2,)
    assert "would be empty" in str(seen.branch(3))
    assert "was said here" in str(seen.branch(1))
    assert "no alternative 7" in str(seen.branch(7))
    seen.go(3)
    assert seen.branch(2) == (1, 4)
    assert [p.text for p in seen.begun(2)] == ["a", "d"]
    seen.go(99)
    assert seen.cursor == 4
    assert seen.branch(2) == (1, 3, 1), "behind the end one can go on instead"
    assert seen.branch(1) == (1, 3, 9)
    seen.go(0)
    assert "the prompt's" in str(seen.branch(1))


def test_words_about_it() -> None:
    seen = found(row(1, "a", 0.9), row(3, "c", 0.2), row(1, "a", 0.9))
    assert seen.summary() == "prompt 2 tokens · reply 3 tokens, on average 67 %, 1 below 50 %"
    assert len(seen.notes) == 2
    seen.go_surprise(1)
    assert seen.cursor == 3
    assert seen.describe() == "“c”  token 3  place 4  20 %, choice 1"
    seen.go_surprise(1)
    assert seen.cursor == 3, "there is no other"
    seen.go(0)
    assert "special, in the prompt" in seen.describe()


def test_rows_of_the_attention() -> None:
    seen = found(row(1, "a", 0.9))
    seen.move_row(1)
    assert seen.row == Row(0), "nothing has come yet"
    assert seen.wants_heat
    seen.heats[2] = heat()
    assert not seen.wants_heat
    for expected in (Row(0, 0), Row(0, 1), Row(1), Row(1, 0), Row(1, 1), Row(1, 1)):
        seen.move_row(1)
        assert seen.row == expected
