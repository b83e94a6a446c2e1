"""SpamScreen: a mail goes in, a verdict comes out. How it looks, and judging; the list is on_verdicts.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static, TextArea

from assistant.errors import AssistantError, StorageError
from assistant.prompting.typed_path import dropped_file
from assistant.screens.keys import spelt
from assistant.screens.path import PathScreen
from assistant.screens.spam.keys import INTRO, SPAM_KEYS, TYPING
from assistant.screens.spam.labels import OnLabels
from assistant.screens.spam.scorers import OnScorers
from assistant.screens.spam.verdicts import OnVerdicts
from assistant.storage.verdicts import Kept
from assistant.verdicts.service import pasted
from assistant.widgets.in_order import LineInput
from assistant.widgets.key_line import KeyLine
from assistant.widgets.mail_prompt import MailPrompt
from assistant.widgets.prompt import Prompt
from assistant.widgets.verdict_view import VerdictView
from engine.email_text.sources import ENDINGS, Item
from engine.errors import EngineError

NARROW = 72  # columns; with fewer, the list of verdicts goes
DRAFT = "draft:spam"
DRAFT_SECONDS = 0.5


class SpamScreen(OnVerdicts, OnScorers, OnLabels):
    """One verdict on screen, the others at the side. `first`: a file to judge at once."""

    BINDINGS: ClassVar[list[BindingType]] = [*SPAM_KEYS]
    keys, intro, typing = SPAM_KEYS, INTRO, TYPING

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical(id="side"):
                yield LineInput(placeholder="Search the verdicts", id="filter")
                yield OptionList(id="verdicts")
            with Vertical():
                yield Static("Spam check", id="title", markup=False)
                yield VerdictView()
                yield MailPrompt()
        yield Static("", id="status", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        self.set_interval(1.0, self.say)  # what goes on behind the screens
        self.show(None)
        self.refresh_list()
        self.say("")
        try:
            self._draft = self._service.store.setting(DRAFT)
            self.prompt.fill(self._draft)
        except StorageError as error:
            self.complain(error)
        self.prompt.focus()
        if self._first:
            self.judge(self._service.read(self._first))

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < NARROW or not self._sidebar, "-narrow")

    def on_unmount(self) -> None:
        self._save_draft()

    @property
    def prompt(self) -> MailPrompt:
        return self.query_one(MailPrompt)

    def action_sidebar(self) -> None:
        self._sidebar = self.has_class("-narrow")
        self.toggle_class("-narrow")

    # Judging

    @on(Prompt.Submitted, "#pasted")
    def _submitted(self, event: Prompt.Submitted) -> None:
        if not event.text.strip():
            self.notify(
                f"There is nothing to judge yet: paste a mail first, or open a file with {spelt(self, 'spam-open')}."
            )
        elif self._judging is not None:
            self._queue(event.text)
        elif file := dropped_file(event.text):
            self.prompt.fill("")
            self.judge(self._service.read(file))
        else:
            self.judge(_one(pasted(event.text)), typed=event.text)

    @work
    async def _queue(self, typed: str) -> None:
        """Keep what came while another mail is being judged, and judge it afterwards."""
        try:
            self._waiting.append(await self._service.keep(pasted(typed), self.asked))
        except AssistantError as error:
            self.complain(error)
            return
        self._empty(typed)
        self.refresh_list()
        if self._judging is None:  # it was done meanwhile
            self._next()
        else:
            self.notify("It is in the list, and is judged after the one before it.")

    def _next(self) -> None:
        """Judge what waits, if anything does."""
        if self._waiting:
            self._judging = self._judge_waiting()

    @work(group="judge")
    async def _judge_waiting(self) -> None:
        verdict, email = self._waiting.popleft()
        problem = ""
        try:
            self.show(verdict, waiting=True)
            self.say(self._going_on(1))
            await self._service.judge(verdict, email)
            self.show(verdict)
        except (EngineError, AssistantError) as error:
            problem = str(error)
        finally:
            self._judging = None
            self.call_later(self._judged, 1, problem)

    def _empty(self, typed: str) -> None:
        """Clear the prompt of what is stored now, unless more was typed since."""
        if typed and typed.startswith(self.prompt.text):
            self.prompt.fill("")
            self._save_draft()

    @work
    async def action_open(self) -> None:
        question = "Judge a text, an .eml file, an mbox, or a Maildir:"
        name = await self.app.push_screen_wait(PathScreen(question, ENDINGS, self._last_path))
        if name and self._may_judge():
            self._last_path = name.rpartition("/")[0] + "/" if "/" in name else ""
            self.judge(self._service.read(name))

    def _may_judge(self) -> bool:
        if self._judging is not None:
            self.notify(f"A mail is being judged. {spelt(self, 'spam-back')} stops it.")
        return self._judging is None

    def judge(self, items: AsyncIterator[Item], *, typed: str = "") -> None:
        """Judge every one of `items`; `typed` leaves the prompt once it is stored."""
        self._judging = self._judge(items, typed)

    @work(group="judge")
    async def _judge(self, items: AsyncIterator[Item], typed: str) -> None:
        count, problem = 0, ""
        self.say("reading …")
        try:
            async for item in items:
                try:
                    verdict, email = await self._service.keep(item, self.asked)
                except AssistantError as error:  # the others may be readable
                    problem = problem or str(error)
                    continue
                count += 1
                self._empty(typed)
                if count == 1:
                    self.show(verdict, waiting=True)
                self.refresh_list()
                self.say(self._going_on(count))
                await self._service.judge(verdict, email)
                self.refresh_list()
                if self.kept is not None and self.kept.id == verdict:
                    self.show(verdict)
        except (EngineError, AssistantError) as error:
            problem = str(error)
        finally:  # also when it was called off
            self._judging = None
            self.call_later(self._judged, count, problem)

    def _going_on(self, count: int) -> str:
        if self._service.client.answering:
            return "a reply is being made in a chat; the verdict follows"
        return "judging …" if count == 1 else f"judging mail {count} …"

    def _judged(self, count: int, problem: str) -> None:
        if not self.is_attached:
            return  # the screen was closed meanwhile
        self.refresh_list()
        self.show(self.kept.id if self.kept else None)
        self.say(f"{count} mails were judged; they are in the list" if count > 1 else "")
        if problem:
            self.notify(problem, severity="warning", timeout=12)
        if self._judging is None:
            self._next()

    def action_back(self) -> None:
        search = self.query_one("#filter", LineInput)
        if search.has_focus:
            search.value = ""
            self.prompt.focus()
        elif self._judging is not None:
            self._waiting.clear()  # they stay in the list
            self._judging.cancel()
        else:
            self.dismiss(None)

    def action_again(self) -> None:
        if self.kept is not None and self._may_judge():
            self.judge_again()

    def judge_again(self) -> None:
        if self.kept is not None:
            self._judging = self._judge_again(self.kept)

    @work(group="judge")
    async def _judge_again(self, kept: Kept) -> None:
        self.show(kept.id, waiting=True)
        problem, verdict = "", kept.id
        try:
            verdict = await self._service.again(kept)
        except (EngineError, AssistantError) as error:
            problem = str(error)
        finally:
            self._judging = None
        self.show(verdict)
        self._judged(1, problem)

    # What is typed

    @on(TextArea.Changed, "#pasted")
    def _typed(self, event: TextArea.Changed) -> None:
        self._draft = event.text_area.text
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_SECONDS, self._save_draft)

    def _save_draft(self) -> None:
        prompts = self.query("#pasted").results(TextArea)  # none any more when the screen is closing
        try:
            self._service.store.set(DRAFT, next((prompt.text for prompt in prompts), self._draft))
        except StorageError as error:
            self.complain(error)


async def _one(item: Item) -> AsyncIterator[Item]:
    yield item
