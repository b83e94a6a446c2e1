"""The engine worker: `python -m engine.worker`. Protocol messages in on stdin, answers out on stdout, one model held.

A thread reads stdin so that Cancel is heard while the model works. Anything that prints goes to stderr instead of the
pipe. The worker ends when its stdin closes, so that none is left behind by an app that was killed.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine.errors import EngineError, ProtocolError
from engine.message import Question
from engine.protocol import Cancel, Delta, Failed, Generate, Load, Loaded, Message, Shutdown, Tokens, decode, encode
from engine.questions import Classify, Label

if TYPE_CHECKING:  # torch is imported when a model is loaded: judging mail may need none
    from engine.run.generate import Generator
    from engine.run.labelling import Labellers
    from engine.spam.judging import Judges

REST_SECONDS = 0.1  # without a message, after which there is time for what makes later ones quicker
DELTA_SECONDS = 1 / 15  # between two Deltas; a screen shows no more


class Worker:
    """Handles one message after the other; `cancel` may be called from another thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._generator: Generator | None = None
        self._judges: Judges | None = None
        self._labellers: Labellers | None = None
        self._recorded = False  # whether the model's decoding has been, or cannot be
        self._cancelled: set[str] = set()
        self._closing = threading.Event()

    def send(self, message: Message) -> None:
        self._out.write(encode(message))
        self._out.flush()

    def cancel(self, request: str) -> None:
        self._cancelled.add(request)

    def close(self) -> None:
        """End the reply that is being made, if any: nobody reads it any more."""
        self._closing.set()

    def handle(self, message: Message) -> None:
        """Do what `message` asks; whatever goes wrong becomes a Failed message."""
        request = getattr(message, "request", "load")
        try:
            if isinstance(message, Load):
                self._load(message)
            elif isinstance(message, Generate):
                self._generate(message)
            elif isinstance(message, Classify):
                self._judge(message)
            elif isinstance(message, Label):
                self._label(message)
            elif isinstance(message, Question):
                self._answer(message)
            else:
                raise ProtocolError(f"The worker does not take {message.kind!r} messages.")
        except EngineError as error:
            self.send(Failed(request, error.code, str(error)))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - the process's edge: the app must hear of it, whatever it is
            self.send(_unexpected(request, error))

    def _load(self, message: Load) -> None:
        from engine.files.model_folder import load_fused
        from engine.run.device import choose
        from engine.run.generate import Generator
        from engine.run.graphs import speed_up

        began = time.perf_counter()
        self._generator = None  # give the old model's memory back first
        place = choose(message.device, message.precision)
        loaded = load_fused(Path(message.model), place)
        note = place.note + (f", {speed_up(loaded.model)}" if message.compile else "")
        self._generator = Generator(loaded)
        self.send(
            Loaded(
                model=message.model,
                name=loaded.name,
                parameters=loaded.model.parameter_count(),
                context_length=loaded.model.config.context_length,
                device=place.device.type,
                device_note=note,
                seconds=time.perf_counter() - began,
            )
        )
        self._recorded = False

    def rest(self) -> None:
        """Do what no reply should wait for: nobody has asked for anything just now."""
        if self._generator is not None and not self._recorded:
            from engine.run.traced import record

            self._recorded = True
            record(self._generator.model)

    def _judge(self, message: Classify) -> None:
        from engine.spam.judging import Judges

        self._judges = self._judges or Judges()
        self.send(self._judges.answer(message))

    def _label(self, message: Label) -> None:
        from engine.run.labelling import Labellers

        self._labellers = self._labellers or Labellers()
        self.send(self._labellers.answer(message))

    def _ready(self) -> Generator:
        if self._generator is None:
            raise ProtocolError("No model is loaded yet.")
        return self._generator

    def _wanted(self, request: str) -> Callable[[], bool]:
        """Says whether `request` has been cancelled."""
        return lambda: request in self._cancelled or self._closing.is_set()

    def _answer(self, message: Message) -> None:
        from engine.run.answers import answer

        request: str = message.request  # type: ignore[attr-defined]
        self.send(answer(self._ready(), message, self._wanted(request)))
        self._cancelled.discard(request)

    def _generate(self, message: Generate) -> None:
        """Send a reply's answers, its text and tokens gathered to few messages a second."""
        text, last = "", 0.0
        tokens: list[dict[str, Any]] = []
        for answer in self._ready().reply(message, self._wanted(message.request)):
            if isinstance(answer, Tokens):
                tokens += answer.tokens
                continue
            if isinstance(answer, Delta):
                text += answer.text
                if time.monotonic() - last < DELTA_SECONDS:
                    continue
            if tokens:
                self.send(Tokens(message.request, tuple(tokens)))
            if text:
                self.send(Delta(message.request, text))
                last = time.monotonic()
            text, tokens = "", []
            if not isinstance(answer, Delta):
                self.send(answer)
        self._cancelled.discard(message.request)


def _unexpected(request: str, error: Exception) -> Failed:
    traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate" in str(error):
        return Failed(
            request,
            "memory",
            "There is not enough memory for this. Close other programs or use a smaller model.",
        )
    return Failed(
        request, "internal", f"The engine made a mistake ({type(error).__name__}: {error}). Please try again."
    )


def _read(stdin: BinaryIO, worker: Worker, inbox: queue.SimpleQueue[Message]) -> None:
    """Feed `inbox` from the pipe until it closes; Cancel does not wait in line."""
    for line in stdin:
        try:
            message = decode(line)
        except ProtocolError as error:
            worker.send(Failed("", error.code, str(error)))
            continue
        if isinstance(message, Cancel):
            worker.cancel(message.request)
        else:
            inbox.put(message)
            if isinstance(message, Shutdown):
                break
    worker.close()
    inbox.put(Shutdown())


def _next(inbox: queue.SimpleQueue[Message], worker: Worker) -> Message:
    """The next message; the worker rests where none comes at once."""
    try:
        return inbox.get(timeout=REST_SECONDS)
    except queue.Empty:
        worker.rest()
        return inbox.get()


def main() -> int:
    """Serve until Shutdown or the end of stdin; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is the app's to understand
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the protocol
    worker = Worker(pipe)
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, worker, inbox), daemon=True).start()
    try:
        while not isinstance(message := _next(inbox, worker), Shutdown):
            worker.handle(message)
    except BrokenPipeError:
        return 0  # the app is gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
