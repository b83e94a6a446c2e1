"""How the spam check looks: empty, with verdicts of every kind, and with other labels; retraining in all its states."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Label, Static

from assistant.learning.runs import Runs
from assistant.screens.dialogs import ChoiceScreen
from assistant.screens.help import HelpScreen
from assistant.screens.spam.retrain import RetrainScreen
from assistant.screens.spam.screen import SpamScreen
from tests.assistant.album import SIZES, Album
from tests.assistant.test_looks_learning import make_run

MAIL = b"""From: "Your Bank" <x@bank.example>
Reply-To: thief@gmail.com
Subject: Your account is closed today
Content-Type: text/html

<p>Dear customer,</p><p>this is no spam: act now and log in at <a href="http://evil.example/x">www.bank.com</a>, or your
account is closed today.</p><p style="display:none">secret words</p><p>Your bank</p>
"""
RESULT = {"rows": [["corrections judged right", 25.0, 92.0, "%"], ["other mails judged right", 98.9, 98.8, "%"]]}


async def opened(it: Album) -> SpamScreen:
    await it.pilot.press("ctrl+s")
    await it.shows(SpamScreen)
    return it.app.screen


async def judge(it: Album, text: str) -> None:
    it.app.screen.prompt.fill(text)
    await it.pilot.press("enter")
    await it.pilot.pause()
    await it.until(lambda: it.app.screen._judging is None)


@SIZES
async def test_verdicts(album, size, tmp_path: Path) -> None:
    (tmp_path / "mail.eml").write_bytes(MAIL)
    async with album(size) as it:
        spam = await opened(it)
        await it.take("spam_empty")
        await judge(it, "Shall we have lunch on Friday?")
        await it.pilot.press("f2")
        await judge(it, "perhaps you would like our news")
        await it.take("spam_unsure")
        await judge(it, "BROKEN mail")
        await it.take("spam_failed")
        spam.judge(spam._service.read("mail.eml"))
        await it.until(lambda: spam._judging is None)
        await it.take("spam_verdict")
        await it.pilot.press("ctrl+f", *"lunch")
        await it.take("spam_history")
        await it.pilot.press("f1")
        await it.shows(HelpScreen)
        await it.take("spam_help")


@SIZES
async def test_other_labels(album, size) -> None:
    async with album(size) as it:
        spam = await opened(it)
        spam._service.sets.create("letters", ["praise", "complaint", "question"], [])
        await it.pilot.press("f7")
        await it.shows(ChoiceScreen)
        await it.take("labels_choice")
        await it.pilot.press("escape")
        await it.shows(SpamScreen)
        spam._ask_for("letters")
        await judge(it, "this is a complaint indeed")
        await it.take("labels_verdict")


@SIZES
async def test_retraining(album, size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runs, "_lives", lambda *_: True)

    def about() -> str:
        return str(it.app.screen.query_one("#about", Label).content)

    def status() -> str:
        return str(spam.query_one("#status", Static).content)  # behind the dialog

    async with album(size) as it:
        spam = await opened(it)
        await judge(it, "lunch on Friday")
        await it.pilot.press("f2", "f9")
        await it.shows(RetrainScreen)
        await it.take("retrain_offer")
        folder = make_run(it.screen.runs, "spam", "training", "training", kind="spam")
        await it.until(lambda: "It goes on" in about() and "retraining" in status())
        await it.take("retrain_busy")
        (folder / "state.json").write_text('{"state": "done"}')
        (folder / "result.json").write_text(json.dumps(RESULT))
        await it.until(lambda: "judged right" in about() and "retraining" not in status())
        await it.take("retrain_comparison")
