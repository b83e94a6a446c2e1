"""WorkingScreen: something that takes a while, done in a thread, with its progress on screen and Esc to call it off."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

from assistant.errors import AssistantError

Step = Callable[[int], None]
SHOW_SECONDS = 0.1  # between two looks at how far it is


class CalledOff(AssistantError):
    """The person pressed Esc; raised in the thread by the next step."""


class WorkingScreen(ModalScreen[object]):
    """Runs `job` in a thread and answers with its result, or with the AssistantError it raised.

    `job` gets a function that it calls with how many `things` are done; that raises CalledOff after Esc.
    """

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "call_off", "Call it off")]

    def __init__(self, title: str, things: str, job: Callable[[Step], object]) -> None:
        super().__init__()
        self._title, self._things, self._job = title, things, job
        self._done, self._off = 0, threading.Event()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Label(self._title, markup=False)
            yield Label("…", id="progress", markup=False)
            yield Label("Esc calls it off; then nothing is changed.", markup=False, classes="note")

    def on_mount(self) -> None:
        self.set_interval(SHOW_SECONDS, self._show)
        self._run()

    @work(exclusive=True)
    async def _run(self) -> None:
        try:
            result: object = await asyncio.to_thread(self._job, self._step)
        except AssistantError as error:
            result = error
        self.dismiss(result)

    def _step(self, done: int) -> None:
        self._done = done
        time.sleep(0)  # let the screen have its turn
        if self._off.is_set():
            raise CalledOff("Called off; nothing was changed.")

    def _show(self) -> None:
        said = "calling it off …" if self._off.is_set() else f"{self._done:,} {self._things}" if self._done else "…"
        self.query_one("#progress", Label).update(said)

    def action_call_off(self) -> None:
        self._off.set()
        self._show()
