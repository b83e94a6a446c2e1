from __future__ import annotations

import pytest

from engine.errors import ProtocolError
from engine.protocol import (
    Cancel,
    Delta,
    Done,
    Failed,
    Generate,
    Load,
    Loaded,
    SamplingParams,
    Shutdown,
    Started,
    decode,
    encode,
)
from engine.questions import Classify, Verdicts

MESSAGES = [
    Classify("1", ("a text", "another"), "/a/scorer", 0.01, False, beside=(0.5, -1.25)),
    Verdicts(
        "1", ({"answer": "spam", "probability": 0.9, "threshold": 0.5, "evidence": [[0, 1, 0.5]]},), "s", "neural"
    ),
    Load("/a/model", "cpu"),
    Generate(
        "1", ({"role": "user", "content": "a\nb \u2028 👩‍👩‍👧 \ud800"},), SamplingParams(stop=("x",), seed=4), True
    ),
    Cancel("1"),
    Shutdown(),
    Loaded("/a/model", "m", 5, 6, "cpu", "CPU", 0.5),
    Started("1", 2, 1, 0, 1024, 99),
    Delta("1", "some\ntext"),
    Done("1", "stop", 3, 4.5, 0.1, 8),
    Failed("load", "model_folder", "A sentence."),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.kind)
def test_round_trip_on_one_line(message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"kind": "nosuch"}',
        b'{"kind": "cancel"}',
        b'{"kind": "cancel", "request": 1, "x": 2}',
        b"\xff",
    ],
)
def test_garbage_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"max_tokens": 0},
    ],
    ids=str,
)
def test_impossible_sampling_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)
