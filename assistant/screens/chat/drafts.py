"""Drafts: the part of the chat screen that keeps what is typed and not sent, at most half a second behind the keys."""

from __future__ import annotations

from textual import on
from textual.widgets import TextArea

from assistant.errors import StorageError
from assistant.screens.chat.base import ChatBase
from assistant.widgets.prompt import Prompt

DRAFT_SECONDS = 0.5  # after the first key that is not saved yet, however many follow it
AGAIN_SECONDS = 5.0  # after a failure


class Drafts(ChatBase):
    """Saves to the store; what the store does not take is kept in memory and tried again."""

    @on(TextArea.Changed, "#prompt")
    def _typed(self) -> None:
        self._draft = self.prompt.unsent
        if self._draft_timer is None:
            self._draft_timer = self.set_timer(DRAFT_SECONDS, self.save_draft)

    def save_draft(self, *, leaving: bool = False) -> None:
        """Keep what is typed and not sent. On `leaving` also what was kept before: another window in the same chat may
        have kept its own instead."""
        prompts = self.query("#prompt").results(Prompt)  # none any more when the app is closing
        text = next((p.unsent for p in prompts), self._draft)
        if self._draft_timer is None:
            if not (leaving and text):
                return  # nothing was typed since
        else:
            self._draft_timer.stop()
            self._draft_timer = None
        if self.temporary:
            return  # what is typed here is not written either
        waited = bool(self._unsaved_drafts)
        self._unsaved_drafts[self.chat] = text
        try:
            for chat in list(self._unsaved_drafts):
                text = self._unsaved_drafts[chat]
                self._service.store.save_draft(chat, text, self._stored_drafts.get(chat))
                self._stored_drafts[chat] = text
                del self._unsaved_drafts[chat]
        except StorageError as error:
            if not waited:  # once is enough, until it works again
                self.notify(f"{error} What you type is kept in memory meanwhile.", severity="error", timeout=12)
            if self.is_running:
                self._draft_timer = self.set_timer(AGAIN_SECONDS, self.save_draft)

    def draft(self) -> str:
        """What was typed in the chat on screen and not sent.

        Raises:
            StorageError: it cannot be read.
        """
        kept = self._unsaved_drafts.get(self.chat)
        if kept is not None:
            return kept
        stored = self._stored_drafts[self.chat] = self.store.draft(self.chat)
        return stored
