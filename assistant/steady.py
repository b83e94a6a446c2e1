"""What keeps the window open: an expected error is a sentence on screen, wherever it was raised, and on it goes.

A mistake, ours or Textual's, is logged and told, and what was going on is dropped: a window with half a day's chats and
a reply in the making is worth more than a traceback. Only a flood of them ends the app, and any one where nobody looks
(in tests). Text from outside never reaches the terminal or the markup parser through a notification.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from contextlib import suppress
from typing import Any, Literal

from textual._context import active_app
from textual.app import App, SeverityLevel
from textual.await_complete import AwaitComplete
from textual.css.query import NoMatches
from textual.dom import DOMNode
from textual.errors import NoWidget
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widgets import OptionList
from textual.worker import WorkerFailed

from assistant.errors import AssistantError
from assistant.logs import LOG
from assistant.text import printable
from engine.errors import EngineError

EXPECTED = (AssistantError, EngineError)
FLOOD, SECONDS = 10, 5.0  # so many mistakes in so short a time are no accident
WAIT_SECONDS = 0.1  # between two looks of a screen that is to close, whether it is on top
MISTAKE = "Something went wrong, and homespun goes on. What it was is in the log: “Show the logs” among the commands."


class SteadyScreen(Screen[None]):
    """A screen whose handlers may raise EXPECTED."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except EXPECTED as error:
            self.notify(str(error), severity="error")


class SteadyApp(App[None]):
    """An app whose actions and workers may raise EXPECTED, and which outlives mistakes once it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.outlives = False
        self._mistakes: deque[float] = deque(maxlen=FLOOD)

    def on_ready(self) -> None:
        self.outlives = not self.is_headless

    def outlive(self, error: Exception) -> bool:
        """Log a mistake and tell of it; False where the app had better end."""
        if not self.outlives or not self._running or self._exit:
            return False
        now = time.monotonic()
        self._mistakes.append(now)
        if len(self._mistakes) == FLOOD and now - self._mistakes[0] < SECONDS:
            return False
        _log(error)
        if isinstance(error, NoWidget):  # a click that came when the window had just changed
            return True
        with suppress(Exception):  # telling it may be what goes wrong
            self.notify(MISTAKE, severity="error")
        return True

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
        if self.outlive(error):
            return
        _log(error)
        super()._handle_exception(error)


def _log(error: Exception) -> None:
    """Write down a mistake: a worker's own, not that a worker failed."""
    LOG.critical("".join(traceback.format_exception(error.error if isinstance(error, WorkerFailed) else error)))


_dispatch, _dismiss, _page = MessagePump._dispatch_message, Screen.dismiss, OptionList._move_page


async def _steadily(self: MessagePump, message: Message) -> None:
    """As Textual's, which ends a widget's loop at an exception: it would stand there and never move again."""
    try:
        await _dispatch(self, message)
    except Exception as error:
        app = active_app.get(None)
        if not (isinstance(app, SteadyApp) and app.outlive(error)):
            raise


def _once(self: Screen[Any], result: Any = None) -> AwaitComplete:
    """As Textual's, which takes away the screen on top, whichever that is: after a second Enter or click, the chat."""
    if self.is_active:
        return _dismiss(self, result)

    def again() -> None:
        self.dismiss(result)

    if self in self.app.screen_stack:  # below another one, which is to be closed first
        self.set_timer(WAIT_SECONDS, again)
    return AwaitComplete.nothing()


def _paged(self: OptionList, direction: Literal[-1, 1]) -> None:
    """As Textual's, which fails in a list that has not been laid out yet: there is no page to go to."""
    with suppress(KeyError):
        _page(self, direction)


# For every widget and screen, Textual's own included.
MessagePump._dispatch_message = _steadily  # type: ignore[method-assign]
Screen.dismiss = _once  # type: ignore[method-assign]
OptionList._move_page = _paged  # type: ignore[method-assign]
