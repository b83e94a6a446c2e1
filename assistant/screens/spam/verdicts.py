"""OnVerdicts: the part of the spam screen that lists, finds, corrects and deletes verdicts."""

from __future__ import annotations

from textual import on, work
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError, StorageError
from assistant.screens.dialogs import ChoiceScreen, ConfirmScreen
from assistant.screens.keys import spelt
from assistant.screens.spam.base import SpamBase
from assistant.storage.verdicts import SPAM_TASK, Kept
from assistant.verdicts import shown
from assistant.widgets.verdict_view import VerdictView

OPPOSITE = {"spam": "not spam", "not spam": "spam"}


class OnVerdicts(SpamBase):
    """The verdict is the one on screen."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing here are not shown."""
        if action in ("wrong", "delete", "again") and self.query(VerdictView):
            return self.kept is not None
        return True

    # The list

    def refresh_list(self) -> None:
        try:
            verdicts = self._service.store.verdicts(self.query_one("#filter", Input).value)
        except StorageError as error:
            self.complain(error)
            return
        options, here = self.query_one("#verdicts", OptionList), str(self.kept.id) if self.kept is not None else None
        if options.has_focus and options.highlighted is not None:  # somebody looks through it
            here = options.get_option_at_index(options.highlighted).id
        options.clear_options()
        if not verdicts:
            wanted = self.query_one("#filter", Input).value.strip()
            options.add_option(Option("Nothing found." if wanted else "No verdicts yet.", disabled=True))
        options.add_options(Option(shown.line(verdict), id=str(verdict.id)) for verdict in verdicts)
        ids = [str(verdict.id) for verdict in verdicts]
        options.highlighted = ids.index(here) if here in ids else None

    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self.refresh_list()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        options = self.query_one("#verdicts", OptionList)
        options.focus()
        options.action_first()

    @on(OptionList.OptionSelected, "#verdicts")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option_id:
            self.show(int(event.option_id))

    def action_search(self) -> None:
        self._sidebar = True
        self.remove_class("-narrow")
        self.query_one("#filter", Input).focus()

    def action_new(self) -> None:
        self.show(None)
        self.refresh_list()
        self.query_one("#pasted").focus()

    # One verdict

    @work
    async def action_wrong(self) -> None:
        if (kept := self.kept) is None or not kept.answer:
            self.notify("There is no verdict to correct yet.")
            return
        label = "" if kept.label else OPPOSITE.get(kept.answer, "") if kept.task == SPAM_TASK else ""
        if not label and not kept.label:
            label = await self._ask_label(kept)
            if not label:
                return
        try:
            self._service.correct(kept, label)
        except AssistantError as error:
            self.complain(error)
            return
        self.show(kept.id)
        self.refresh_list()
        learns = (
            f"{spelt(self, 'spam-retrain')} retrains from this."
            if kept.task == SPAM_TASK
            else "It is one more example."
        )
        self.notify(f"Kept: it is {label}. {learns}" if label else "Your word on it is taken back.")

    async def _ask_label(self, kept: Kept) -> str:
        """What it is, where that is not plain from its being wrong."""
        if kept.task != SPAM_TASK:
            labels = [label for label, _ in kept.details.get("labels", [])]
            return await self.app.push_screen_wait(ChoiceScreen("What is it?", labels)) or ""
        return await self.app.push_screen_wait(ChoiceScreen("What is it?", list(OPPOSITE))) or ""

    @work
    async def action_delete(self) -> None:
        if (kept := self.kept) is None:
            return
        question = "Delete this verdict and its mail for good? The text is overwritten on disk."
        if not await self.app.push_screen_wait(ConfirmScreen(question, "Delete")):
            return
        try:
            self._service.delete(kept)
            self._retraining.forget(kept.text)
        except AssistantError as error:
            self.complain(error)
            return
        self.action_new()
