"""Retraining from corrections: a run of the training menu, its comparison, adopting and going back; how it can fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from assistant.errors import LearningError, UsageError
from assistant.learning.corrections import Corrections
from assistant.learning.retraining import Retraining
from assistant.learning.runs import Run, Runs
from assistant.paths import Paths
from assistant.storage.store import Store
from assistant.storage.verdicts import SPAM_TASK
from assistant.verdicts.settings import SpamSettings, per_cent, read_rate, written_rate
from engine.email_text.normalise import VERSION
from tests.assistant.test_learning import FAKE


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def settings(paths: Paths) -> SpamSettings:
    return SpamSettings(paths)


@pytest.fixture
def retraining(settings: SpamSettings, paths: Paths) -> Retraining:
    return Retraining(settings, Runs(paths, FAKE))


@pytest.fixture
def corrected(paths: Paths):
    """Corrections of the texts that are named, in a store of their own."""
    store = Store(paths.database)

    def corrected(*texts: str) -> Corrections:
        for text in texts:
            values = {"name": "", "subject": "", "sender": "", "shown": text, "text": text, "normaliser": VERSION}
            store.label_verdict(store.begin_verdict(SPAM_TASK, {**values, "raw": None}, {}), "spam")
        return Corrections(store)

    yield corrected
    store.close()


async def ended(retraining: Retraining) -> Run:
    for _ in range(600):
        run = retraining.run
        if run is not None and not run.busy:
            return run
        await asyncio.sleep(0.05)
    raise AssertionError("it does not end")


async def test_adopted_only_on_yes_and_rolled_back(retraining, settings: SpamSettings, corrected) -> None:
    retraining.start(corrected("buy now"))
    run = await ended(retraining)
    assert retraining.comparison(run) == "corrections judged right: 50 % before, 100 % now."
    assert settings.in_use().folder is None, "nothing is adopted unasked"
    with pytest.raises(UsageError, match="already"):
        retraining.start(corrected())
    retraining.adopt(run)
    assert retraining.adopted(run)
    first = settings.in_use().folder
    assert first is not None
    assert first.name == "spam-1"
    retraining.start(corrected("lunch"))
    retraining.adopt(await ended(retraining))
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
    assert not retraining.adopted(run)


async def test_a_run_goes_on_without_the_window_that_began_it(retraining, settings, paths: Paths, corrected) -> None:
    retraining.start(corrected("buy now"))
    again = Retraining(settings, Runs(paths, FAKE))  # as the app does when it is opened again
    run = await ended(again)
    assert run.state == "done"
    assert "judges from now on" in again.adopt(run)


async def test_failing_is_a_sentence_and_it_can_be_tried_again(retraining: Retraining, corrected) -> None:
    retraining.start(corrected("broken"))
    run = await ended(retraining)
    assert (run.state, run.text) == ("failed", "The corrections cannot be read.")
    with pytest.raises(LearningError, match="not made a scorer"):
        retraining.adopt(run)
    retraining.start(corrected())
    assert (await ended(retraining)).key != run.key


async def test_one_that_is_worse_is_said_to_be(retraining: Retraining, corrected) -> None:
    retraining.start(corrected("worse"))
    assert "better not adopt it" in retraining.comparison(await ended(retraining))


async def test_stopping_and_discarding_leave_nothing(retraining, settings: SpamSettings, paths, corrected) -> None:
    with pytest.raises(LearningError, match="no corrections"):
        retraining.start(corrected())
    retraining.start(corrected("long"))
    with pytest.raises(UsageError, match="already"):
        retraining.start(corrected())
    assert "retraining: " in retraining.line()
    retraining.end(retraining.run)
    assert retraining.line() == ""
    assert retraining.run is None
    assert [p.name for p in paths.runs.iterdir() if p.name[0] != "."] == []


def test_what_is_said_last_of_a_mail_counts_and_each_can_be_left_out(corrected, tmp_path: Path) -> None:
    corrections = corrected("buy now", "lunch", "buy now")
    assert corrections.all() == [("buy now", "spam"), ("lunch", "spam")]
    first, second = corrections.choices()
    assert first.lines == (("→", "buy now", "red"),)
    assert corrections.summary({second.key}) == "1 correction (1 spam), 1 left out."
    written = corrections.write(tmp_path / "c.jsonl", {second.key}).read_text()
    assert json.loads(written) == {"text": "buy now", "label": "spam"}
    assert (tmp_path / "c.jsonl").stat().st_mode & 0o777 == 0o600
    with pytest.raises(LearningError, match="2 left out"):
        corrections.write(tmp_path / "c.jsonl", {first.key, second.key})


async def test_a_mail_that_is_deleted_is_in_no_run_any_more(
    retraining, paths: Paths, corrected, tmp_path: Path
) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "buy now", "label": "spam"}')
    retraining.start(corrected("buy now", "lunch"))
    await ended(retraining)
    retraining.forget("buy now")
    held = [path.read_bytes() for path in paths.runs.rglob("*") if path.is_file()]
    assert any(b"lunch" in content for content in held)
    assert not any(b"buy now" in content for content in held)
    assert "buy now" in (tmp_path / "mine.jsonl").read_text()
    retraining.forget("nothing")


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
    assert [written_rate(rate) for rate in (0.001, 0.0015, 0.00001, 0, 0.05)] == [
        "0.1 %",
        "0.15 %",
        "0.001 %",
        "0 %",
        "5 %",
    ]
    assert [per_cent(share) for share in (0.001, 0.97, 1.0, 0.99999, 0.00001)] == [
        "0.1 %",
        "97 %",
        "100 %",
        "99.99 %",
        "0.01 %",
    ]
