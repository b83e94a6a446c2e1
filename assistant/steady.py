"""What keeps the window open: an expected error is a sentence on screen, wherever it was raised, and on it goes.

Only mistakes of ours (any other exception) end the app; they are in the log then. Text from outside never reaches the
terminal or the markup parser through a notification.
"""

from __future__ import annotations

import traceback
from typing import Any

from textual.app import App, SeverityLevel
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen
from textual.worker import WorkerFailed

from assistant.errors import AssistantError
from assistant.logs import LOG
from assistant.text import printable
from engine.errors import EngineError

EXPECTED = (AssistantError, EngineError)


class SteadyScreen(Screen[None]):
    """A screen whose handlers may raise EXPECTED."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except EXPECTED as error:
            self.notify(str(error), severity="error")


class SteadyApp(App[None]):
    """An app whose actions and workers may raise EXPECTED."""

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """As Textual's, but never with markup, and what is wrong goes to the log, too."""
        message = printable(message)
        if severity != "information":
            LOG.log({"warning": 30, "error": 40}[severity], message)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=False)

    async def _dispatch_action(self, namespace: DOMNode, action_name: str, params: Any) -> bool:
        try:
            return await super()._dispatch_action(namespace, action_name, params)
        except EXPECTED as error:
            self.notify(str(error), severity="error")
            return True

    def _handle_exception(self, error: Exception) -> None:
        if isinstance(error, WorkerFailed) and isinstance(error.error, EXPECTED):
            self.notify(str(error.error), severity="error")
            return
        closing = self._exit or not self._running
        if closing and isinstance(error, WorkerFailed) and isinstance(error.error, NoMatches):
            return  # what a worker would have shown its news on is gone: the window is being closed
        LOG.critical("".join(traceback.format_exception(error)))
        super()._handle_exception(error)
