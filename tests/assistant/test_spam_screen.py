"""The spam check, driven by keys: judged, explained, corrected, found again, deleted; and what goes wrong."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input, Label, OptionList, Static

from assistant.screens.path import PathScreen
from assistant.screens.spam.screen import SpamScreen, _one
from assistant.verdicts.findings import together
from assistant.verdicts.service import pasted
from assistant.widgets.mail_prompt import MailPrompt
from engine.errors import EngineError
from tests.assistant.test_learning import FAKE

LINK = b"""From: "Your Bank" <x@bank.example>
Reply-To: thief@gmail.com
Subject: this is spam
Content-Type: text/html

<p>Log in at <a href="http://evil.example/x">www.bank.com</a> now</p><p style="display:none">secret words</p>
"""


class Check:
    """The spam check under test and what one can see of it."""

    def __init__(self, it, screen: SpamScreen) -> None:
        self.it, self.screen, self.pilot = it, screen, it.pilot

    def part(self, name: str) -> str:
        return str(self.screen.query_one(f"#verdict-{name}", Static).content)

    @property
    def listed(self) -> list[str]:
        options = self.screen.query_one("#verdicts", OptionList).options
        return [str(o.prompt).splitlines()[0] for o in options if o.id]

    async def done(self) -> None:
        await self.it.until(lambda: self.screen._judging is None)
        await self.pilot.pause()

    async def judge(self, text: str) -> None:
        self.screen.prompt.fill(text)
        await self.pilot.press("enter")
        await self.pilot.pause()
        await self.done()


@pytest.fixture
def checking(opened):
    @asynccontextmanager
    async def checking(size: tuple[int, int] = (120, 40)):
        async with opened(size) as it:
            await it.pilot.press("ctrl+s")
            await it.until(lambda: isinstance(it.app.screen, SpamScreen))
            await it.pilot.pause()
            yield Check(it, it.app.screen)

    return checking


async def test_a_pasted_mail_is_judged_explained_and_kept(checking) -> None:
    async with checking() as it:
        assert "Paste a mail" in str(it.screen.query_one("#begin", Static).content)
        await it.judge("Hello, this is spam for you")
        assert it.part("heading").startswith("SPAM  97 % likely")
        assert "spam from 90 % on" in it.part("under")
        assert "beside it classical: SPAM 97 %" in it.part("under")
        assert "spam+2.5 for you" in it.part("mail"), "the weight stands behind the passage"
        assert "█" in it.part("bar")
        assert "┃" in it.part("bar")
        assert it.listed == ["Hello, this is spam for you"]
        assert it.screen.prompt.text == ""
        await it.judge("perhaps")
        assert it.part("heading").startswith("unsure")
        assert it.listed == ["perhaps", "Hello, this is spam for you"]


async def test_findings_of_a_file_and_its_headers(checking, tmp_path: Path) -> None:
    (tmp_path / "mail.eml").write_bytes(LINK)
    async with checking() as it:
        await it.pilot.press("ctrl+o")
        await it.it.until(lambda: isinstance(it.it.app.screen, PathScreen))
        field = it.it.app.screen.query_one(Input)
        field.value = str(tmp_path / "ma")
        await it.pilot.press("tab")
        await it.it.until(lambda: field.value == str(tmp_path / "mail.eml"))
        await it.pilot.press("enter")
        await it.it.until(lambda: it.listed == ["this is spam"])
        await it.done()
        reasons = it.part("reasons")
        assert "●●● A link says www.bank.com but leads to evil.example." in reasons
        assert "Answers would go to gmail.com, but it says it is from bank.example." in reasons
        assert "2 words in it are hidden." in reasons
        assert "[hidden text: secret words]" in it.part("mail")
        underlined = [
            s for s in it.screen.query_one("#verdict-mail", Static).content.spans if "underline" in str(s.style)
        ]
        assert underlined


async def test_correcting_searching_and_deleting(checking, data: Path) -> None:
    async with checking() as it:
        await it.judge("a zanzibar spam offer")
        await it.judge("lunch on Friday")
        await it.pilot.press("f2")
        await it.pilot.pause()
        assert it.part("heading").endswith("you said: spam")
        assert it.it.app.store.corrections("spam", 1) == [("lunch on Friday", "spam")]
        await it.pilot.press("f2")
        await it.pilot.pause()
        assert it.it.app.store.corrections("spam", 1) == []
        await it.pilot.press("ctrl+f", *"zanz", "enter", "enter")
        await it.pilot.pause()
        assert it.listed == ["a zanzibar spam offer"]
        assert it.part("heading").startswith("SPAM")
        await it.pilot.press("f8")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.it.until(lambda: it.screen.kept is None)
        it.screen.query_one("#filter", Input).value = ""
        await it.pilot.pause()
        assert it.listed == ["lunch on Friday"]
        for file in data.glob("chats.db*"):
            assert b"zanzibar" not in file.read_bytes(), file


async def test_a_stricter_rate_judges_anew_and_is_remembered(checking, data: Path) -> None:
    async with checking() as it:
        await it.judge("this is spam")
        await it.pilot.press("f6")
        await it.pilot.pause()
        it.it.app.screen.query_one(Input).value = "many"
        await it.pilot.press("enter")
        await it.it.until(lambda: "a number of per cent" in it.it.notified)
        assert it.it.app.screen.query_one(Input).value == "many", "to be put right"
        it.it.app.screen.query_one(Input).value = "0,01 %"
        await it.pilot.press("enter")
        await it.it.until(lambda: it.part("heading").startswith("unsure"))
        assert "spam from 99 % on, for at most 0.01 % false alarms" in it.part("under")
        assert "0.01 %" in str(it.screen.query_one("#status", Static).content)
        assert '"false_alarms": 0.0001' in (data / "spam.json").read_text()


async def test_what_fails_stays_and_can_be_judged_again(checking) -> None:
    async with checking() as it:
        await it.judge("BROKEN mail")
        assert "The scorer cannot be read" in it.it.notified
        assert "It could not be judged: The scorer cannot be read: the file is cut short. F5" in it.part("reasons")
        assert it.part("heading") == "not judged"
        assert it.listed == ["BROKEN mail"]
        await it.pilot.press("ctrl+o")
        await it.pilot.pause()
        it.it.app.screen.query_one(Input).value = "/nowhere.eml"
        await it.pilot.press("enter")
        await it.it.until(lambda: "/nowhere.eml is not there" in it.it.notified)


async def test_escape_stops_judging_and_then_leaves_and_the_draft_stays(checking) -> None:
    async with checking() as it:
        it.screen.prompt.fill("SLOWLY")
        await it.pilot.press("enter")
        await it.it.until(lambda: it.listed == ["SLOWLY"])
        await it.pilot.press("escape")
        await it.done()
        assert it.part("heading") == "not judged"
        it.screen.prompt.fill("half a mail")
        await it.pilot.press("escape")
        await it.it.until(lambda: not isinstance(it.it.app.screen, SpamScreen))
        await it.it.send("/spam")
        await it.it.until(lambda: isinstance(it.it.app.screen, SpamScreen))
        await it.pilot.pause()
        assert it.it.app.screen.query_one(MailPrompt).text == "half a mail"


async def test_what_comes_while_a_mail_is_judged_is_kept_and_judged_after_it(checking) -> None:
    async with checking() as it:
        it.screen.prompt.fill("SLOWLY, the first")
        await it.pilot.press("enter")
        await it.it.until(lambda: it.listed == ["SLOWLY, the first"])
        long = "long spam " * 3000  # as long as one that never stands in the prompt
        it.screen.prompt.post_message(events.Paste(long))
        await it.it.until(lambda: len(it.listed) == 2)
        assert it.it.app.store.verdicts()[0].answer == "", "on disk before its turn comes"
        it.screen.prompt.fill("lunch on Friday")
        await it.pilot.press("enter")
        await it.it.until(lambda: len(it.listed) == 3)
        assert it.screen.prompt.text == ""
        await it.it.until(lambda: all(each.answer for each in it.it.app.store.verdicts()), 20)
        assert [each.answer for each in it.it.app.store.verdicts()] == ["not spam", "spam", "not spam"]
        assert it.part("heading").startswith("not spam")


async def test_the_list_can_be_looked_through_while_mails_are_judged(checking) -> None:
    async with checking() as it:
        for text in ("one", "two", "three"):
            await it.judge(text)
        options = it.screen.query_one("#verdicts", OptionList)
        options.focus()
        await it.pilot.pause()
        options.highlighted = 2
        it.screen.judge(_one(pasted("four")))
        await it.it.until(lambda: len(it.listed) == 4)
        await it.done()
        assert it.listed[options.highlighted] == "one"


async def test_escape_leaves_the_search_first(checking) -> None:
    async with checking() as it:
        await it.judge("lunch on Friday")
        await it.pilot.press("ctrl+f", *"nothing", "escape")
        await it.pilot.pause()
        assert it.it.app.screen is it.screen
        assert it.listed == ["lunch on Friday"]
        assert it.screen.prompt.has_focus


@pytest.mark.parametrize("written", ["{}", "'{}'", '"{}"', "{}  \n"])
async def test_a_file_that_is_dropped_on_the_prompt_is_opened(checking, tmp_path: Path, written: str) -> None:
    (tmp_path / "a mail.eml").write_bytes(LINK)
    async with checking() as it:
        await it.judge(written.format(tmp_path / "a mail.eml"))
        assert it.listed == ["this is spam"]
        assert it.screen.prompt.text == ""


async def test_a_second_try_that_fails_leaves_the_verdict(checking) -> None:
    async with checking() as it:
        await it.judge("this is spam")

        async def fails(*_: object, **__: object) -> None:
            raise EngineError("The engine stopped.")

        it.screen._service._ask = fails
        await it.pilot.press("f5")
        await it.done()
        assert "The engine stopped." in it.it.notified
        assert it.part("heading").startswith("SPAM  97 %")


async def test_a_long_paste_is_judged_at_once_and_bounded_on_screen(checking, tmp_path: Path) -> None:
    async with checking((80, 24)) as it:
        it.screen.prompt.post_message(events.Paste("word " * 100_000))
        await it.it.until(lambda: it.screen.kept is not None)
        await it.done()
        assert it.screen.prompt.text == ""
        assert len(it.part("mail")) < 12_000
        assert "characters in the middle are not shown" in it.part("mail")
        assert "It is long: " in it.part("reasons")


async def test_an_mbox_and_terminal_sequences(checking, tmp_path: Path) -> None:
    box = tmp_path / "in.mbox"
    box.write_bytes(
        b"\n".join(b"From a@b Mon Jan 1 00:00:00 2020\nSubject: s%d\n\n\x1b]0;evil\x07 hi\n" % n for n in range(3))
    )
    async with checking((60, 14)) as it:
        it.screen.judge(it.screen._service.read(str(box)))
        await it.done()
        assert it.listed == ["s2", "s1", "s0"]
        assert "3 mails were judged" in str(it.screen.query_one("#status", Static).content)
        assert "\x1b" not in it.part("mail")
        assert not it.screen.query_one("#side").display


async def choose(it, answer: str) -> None:
    """Choose the first line of the dialog on top that has `answer`."""
    await it.it.until(lambda: bool(it.it.app.screen.query(OptionList)) and it.it.app.screen is not it.screen)
    options = it.it.app.screen.query_one(OptionList)
    options.highlighted = next(n for n, o in enumerate(options.options) if answer in str(o.prompt))
    options.focus()
    await it.pilot.press("enter")
    await it.pilot.pause()


async def test_labels_that_are_typed_are_scored_corrected_and_kept(checking, data: Path) -> None:
    async with checking() as it:
        await it.pilot.press("f7")
        await choose(it, "labels that I type")
        it.it.app.screen.query_one(Input).value = "praise, complaint"
        await it.pilot.press("enter")
        await it.pilot.pause()
        it.it.app.screen.query_one(Input).value = "letters/2024"
        await it.pilot.press("enter")
        await it.it.until(lambda: "has only these" in it.it.notified)
        assert it.it.app.screen.query_one(Input).value == "letters/2024", "and the labels are not lost"
        it.it.app.screen.query_one(Input).value = "letters"
        await it.pilot.press("enter")
        await it.it.until(lambda: it.screen.asked == "letters")
        await it.judge("this is a complaint indeed")
        assert it.part("heading").startswith("complaint  98.2 %")
        assert it.part("bar").splitlines()[1].startswith("praise ")
        assert "by letters (zero-shot)" in it.part("under")
        await it.pilot.press("f2")
        await choose(it, "praise")
        assert it.part("heading").endswith("you said: praise")
        assert it.screen._service.sets.read("letters").method == "few-shot, 1 example"
        await it.pilot.press("f2")
        await it.pilot.pause()
        assert it.screen._service.sets.read("letters").method == "zero-shot", "taken back, it is no example"
        await it.pilot.press("f2")
        await choose(it, "praise")
        await it.judge("a mail with praise to be deleted")
        await it.pilot.press("f2")
        await choose(it, "complaint")
        assert "to be deleted" in (data / "classifiers" / "letters" / "examples.jsonl").read_text()
        await it.pilot.press("f8")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.it.until(lambda: it.screen.kept is None)
        assert "to be deleted" not in (data / "classifiers" / "letters" / "examples.jsonl").read_text()
        await it.judge("some praise")
        assert "by letters (few-shot, 1 example)" in it.part("under")
        assert "1 of 1 examples were shown to the language model." in it.part("reasons")
        await it.pilot.press("f7")
        await choose(it, "letters: praise, complaint")
        await choose(it, "Remove it")
        await it.pilot.press("y")
        await it.it.until(lambda: it.screen.asked == "spam")
        assert list((data / "classifiers").iterdir()) == []


async def test_retraining_is_compared_and_adopted_only_on_yes(checking) -> None:
    async with checking() as it:
        await it.pilot.press("f9")
        await it.pilot.pause()
        about = it.it.app.screen.query_one("#about", Label)
        assert "no corrections to learn from yet" in str(about.content)
        await it.pilot.press("escape")
        await it.judge("lunch on Friday")
        await it.pilot.press("f2")
        await it.pilot.pause()
        it.it.screen.runs._command = FAKE
        await it.pilot.press("f9")
        await it.pilot.pause()
        about = it.it.app.screen.query_one("#about", Label)
        assert "1 correction (1 spam)" in str(about.content)
        await it.pilot.press("y")
        await it.it.until(lambda: "50 % before, 100 % now" in str(about.content))
        assert it.screen._service.settings.in_use().folder is None
        await it.pilot.press("y")
        await it.it.until(lambda: it.it.app.screen is it.screen)
        assert it.screen._service.settings.in_use().folder.name == "spam-1"
        await it.pilot.press("f10")
        await it.pilot.pause()
        await it.pilot.press("y")
        await it.it.until(lambda: "judges again" in it.it.notified)
        assert it.screen._service.settings.in_use().folder is None


def test_findings_of_a_kind_share_a_line() -> None:
    rows = [("It presses for haste: “now”.", 0.3), ("It has a form to fill in.", 0.4)]
    rows += [("It presses for haste: “call: “me””.", 0.3), ("It presses for haste: “Now”.", 0.3)]
    assert together(rows) == [("It presses for haste: “now”, “call: “me””.", 0.3), ("It has a form to fill in.", 0.4)]
