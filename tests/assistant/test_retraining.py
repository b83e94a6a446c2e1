"""Retraining from corrections: a child process, its comparison, adopting and going back; and how it can fail."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.paths import Paths
from assistant.verdicts.retraining import Retraining
from assistant.verdicts.settings import SpamSettings, per_cent, read_rate

CHILD = """
import json, pathlib, sys, time
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
rows = [json.loads(line) for line in open(arguments["--corrections"])]
print("reading", file=sys.stderr, flush=True)
if rows[0]["text"] == "worse":
    print(json.dumps({"sentence": "That is worse: the old scorer stays."}))
    sys.exit(1)
if rows[0]["text"] == "broken":
    print("Error: The corrections cannot be read.", file=sys.stderr)
    sys.exit(2)
if rows[0]["text"] == "long":
    time.sleep(60)
out = pathlib.Path(arguments["--out"])
out.mkdir()
(out / "config.json").write_text(json.dumps({"normaliser_version": 1, "parent": arguments.get("--scorer", "")}))
told = f"Of {len(rows)} corrections 0 were right before and 1 are now. The new scorer is kept."
print(json.dumps({"sentence": told, "adopted": True}))
"""


@pytest.fixture
def settings(tmp_path: Path) -> SpamSettings:
    return SpamSettings(Paths(tmp_path))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def retraining(settings: SpamSettings, told: list[str]) -> Retraining:
    return Retraining(settings, told.append, [sys.executable, "-c", CHILD])


async def ended(retraining: Retraining) -> None:
    for _ in range(600):
        if not retraining.busy:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not end")


async def test_adopted_only_on_yes_and_rolled_back(retraining: Retraining, settings: SpamSettings, told) -> None:
    retraining.start([("buy now", "not spam")])
    await ended(retraining)
    assert told == ["The retrained scorer is ready. F9 compares it with the old one."]
    assert retraining.comparison == "Of 1 corrections 0 were right before and 1 are now."
    assert settings.in_use().folder is None, "nothing is adopted unasked"
    retraining.adopt()
    first = settings.in_use().folder
    assert first is not None
    assert first.name == "spam-1"
    retraining.start([("buy now", "not spam"), ("lunch", "spam")])
    await ended(retraining)
    retraining.adopt()
    second = settings.in_use().folder
    assert json.loads((second / "config.json").read_text())["parent"] == str(first), "it goes on from the one in use"
    assert "spam-1 judges again" in settings.roll_back()
    assert settings.in_use().folder == first
    assert not second.exists()
    settings.roll_back()
    assert settings.in_use().folder is None
    with pytest.raises(UsageError, match="nothing to go back"):
        settings.roll_back()
    assert list(settings.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("worse", "That is worse: the old scorer stays."), ("broken", "The corrections cannot be read.")],
)
async def test_failing_is_a_sentence(retraining: Retraining, text: str, sentence: str, told) -> None:
    retraining.start([(text, "spam")])
    await ended(retraining)
    assert told == [sentence]
    with pytest.raises(UsageError, match="no new scorer"):
        retraining.adopt()


async def test_stopping_and_discarding_leave_nothing(retraining: Retraining, settings: SpamSettings) -> None:
    with pytest.raises(UsageError, match="no corrections"):
        retraining.start([])
    retraining.start([("long", "spam")])
    with pytest.raises(UsageError, match="already"):
        retraining.start([("long", "spam")])
    await asyncio.sleep(0.3)
    await retraining.close()
    assert retraining.line == ""
    retraining.start([("fine", "spam")])
    await ended(retraining)
    retraining.discard()
    assert list(settings.folder.iterdir()) == []


def test_an_older_scorer_is_left_aside_with_a_note(settings: SpamSettings) -> None:
    folder = settings.next_folder()
    folder.mkdir()
    (folder / "config.json").write_text('{"normaliser_version": 0}')
    settings.adopt(folder)
    assert settings.in_use().folder is None
    assert "made by an older homespun" in settings.in_use().note


def test_rates() -> None:
    assert [read_rate(text) for text in ("0.1", "0,1 %", " 5% ")] == [0.001, 0.001, 0.05]
    for text in ("-1", "101", "many", "nan"):
        with pytest.raises(UsageError):
            read_rate(text)
    assert [per_cent(share) for share in (0.001, 0.97, 1.0, 0.99999, 0.00001)] == [
        "0.1 %",
        "97 %",
        "100 %",
        "99.99 %",
        "0.01 %",
    ]
