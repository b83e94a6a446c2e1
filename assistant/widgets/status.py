"""StatusLine: what the model is, how fast it was, how full its context is, and anything one must not overlook."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from assistant.storage.rows import Message
from assistant.text import printable
from engine.protocol import Done, Loaded, Started

LOADING = "loading the model …"
CELLS = 6  # of the bar
# The parts in the order they are shown, and what a click on one does.
PARTS = {"model": "screen.models", "dropped": "", "speed": "", "context": "screen.chat_settings", "state": ""}


class StatusLine(Static):
    """One line; each part is kept until it is replaced."""

    def __init__(self, model: str) -> None:
        super().__init__("", markup=False, id="status")
        self._parts = {"model": model, "state": LOADING}
        self.ready = False  # whether the model has been loaded
        self._used, self._limit = 0, 0  # tokens in the context

    def on_mount(self) -> None:
        self._show()

    def waits_for(self, model: str) -> None:
        """Another model is on its way: nothing that was said of the last one holds."""
        self._parts, self.ready = {"model": model, "state": LOADING}, False
        self._used = self._limit = 0
        self._show()

    def loaded(self, message: Loaded) -> None:
        self._parts |= {"model": message.name, "state": message.device_note}
        self._limit = message.context_length
        self.ready = True
        self._show()

    def failed(self, sentence: str) -> None:
        self._parts["state"] = sentence
        self.ready = False
        self._show()

    def of_chat(self, last: Message | None) -> None:
        """Another chat is on screen; `last` is its last reply that was made to an end, here or earlier."""
        self._used = last.context_used or 0 if last else 0
        self._parts["dropped"] = _dropped(last.dropped or 0) if last else ""
        self._parts["speed"] = ""
        if last is not None and last.seconds_to_first_token is not None:
            self._parts["speed"] = _speed(last.tokens_per_second or 0, last.tokens or 0, last.seconds_to_first_token)
        self._show()

    def started(self, message: Started) -> None:
        self._used, self._limit = message.prompt_tokens, message.context_length
        self._parts["dropped"] = _dropped(message.dropped_messages)
        self._parts["speed"] = "…"
        self._show()

    def done(self, message: Done) -> None:
        self._parts["speed"] = _speed(message.tokens_per_second, message.tokens, message.seconds_to_first_token)
        self._used = message.context_used
        self._show()

    def _show(self) -> None:
        self._parts["context"] = f"{bar(self._used, self._limit)} {self._used:,}/{self._limit:,}" if self._limit else ""
        shown = []
        for name, action in PARTS.items():
            if text := self._parts.get(name):
                part = Content(printable(text))
                shown.append(part.stylize(f"@click={action}") if action else part)
        self.update(Content("  ·  ").join(shown), layout=False)  # it is one line high, whatever it says


def bar(used: int, limit: int) -> str:
    """How full the context is: ▰▰▱▱▱▱; not empty when something is in it."""
    full = min(CELLS, -(-used * CELLS // limit)) if limit else 0
    return "▰" * full + "▱" * (CELLS - full)


def _dropped(messages: int) -> str:
    return f"{messages} oldest messages left out" if messages else ""


def _speed(per_second: float, tokens: int, wait: float) -> str:
    speed = f"{per_second:.0f} tok/s" if per_second else f"{tokens} tokens"
    return f"{speed}, first in " + (f"{wait:.1f} s" if wait >= 0.1 else f"{wait * 1000:.0f} ms")
