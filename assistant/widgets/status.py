"""StatusLine: what the model is, how fast it was, how full its context is, and anything one must not overlook."""

from __future__ import annotations

from textual.widgets import Static

from assistant.text import printable
from engine.protocol import Done, Loaded, Started

LOADING = "loading the model …"


class StatusLine(Static):
    """One line; each part is kept until it is replaced."""

    def __init__(self, model: str) -> None:
        super().__init__("", markup=False, id="status")
        self._parts = {"model": model, "state": LOADING}
        self.ready = False  # whether the model has been loaded
        self._limit = 0  # tokens in the context

    def on_mount(self) -> None:
        self._show()

    def waits_for(self, model: str) -> None:
        """Another model is on its way: nothing that was said of the last one holds."""
        self._parts, self.ready = {"model": model, "state": LOADING}, False
        self._show()

    def loaded(self, message: Loaded) -> None:
        self._parts |= {"model": message.name, "state": message.device_note}
        self._parts["context"] = f"context 0/{message.context_length:,}"
        self.ready = True
        self._show()

    def failed(self, sentence: str) -> None:
        self._parts["state"] = sentence
        self.ready = False
        self._show()

    def started(self, message: Started) -> None:
        self._parts["context"] = f"context {message.prompt_tokens:,}/{message.context_length:,}"
        self._limit = message.context_length
        dropped = message.dropped_messages
        self._parts["dropped"] = f"{dropped} oldest messages left out" if dropped else ""
        self._parts["speed"] = "…"
        self._show()

    def done(self, message: Done) -> None:
        speed = f"{message.tokens_per_second:.0f} tok/s" if message.tokens_per_second else f"{message.tokens} tokens"
        wait = message.seconds_to_first_token
        self._parts["speed"] = f"{speed}, first in " + (f"{wait:.1f} s" if wait >= 0.1 else f"{wait * 1000:.0f} ms")
        self._parts["context"] = f"context {message.context_used:,}/{self._limit:,}"
        self._show()

    def _show(self) -> None:
        order = ("model", "dropped", "speed", "context", "state")
        self.update(printable("  ·  ".join(self._parts[name] for name in order if self._parts.get(name))))
