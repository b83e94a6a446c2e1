"""EngineClient: the app's end of the engine worker's pipe. Starts it, loads the model, asks, cancels, starts it again.

One reply at a time. What a reply means for a chat is `chat_service.py`; what is said is `engine/protocol.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shlex
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal

from assistant.errors import WorkerDied
from assistant.logs import LOG, rotate
from engine.errors import EngineError, ProtocolError
from engine.message import OneAnswer, Question
from engine.protocol import (
    Cancel,
    Delta,
    Done,
    Failed,
    Generate,
    Load,
    Loaded,
    Message,
    SamplingParams,
    Started,
    Tokens,
    decode,
    encode,
)

# asyncio warns of an "unknown child process" when one is killed that has just ended by itself; nobody can act on that.
logging.getLogger("asyncio").setLevel(logging.ERROR)
LONGEST_LINE = 2**26  # bytes: a whole pasted book fits
Answer = Started | Delta | Tokens | Done


class EngineFailure(EngineError):
    """What the worker reported as Failed; `code` is the engine's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def worker_command() -> list[str]:
    """How the worker is started. HOMESPUN_WORKER replaces it (for tests and for debugging)."""
    if given := os.environ.get("HOMESPUN_WORKER"):
        return shlex.split(given)
    return [sys.executable, "-P", "-m", "engine.worker"]  # -P: a folder called `engine` here must not be imported


class EngineClient:
    """Talks to one worker with the model in folder `model`."""

    def __init__(
        self,
        model: Path,
        device: str = "auto",
        command: Sequence[str] | None = None,
        log: Path | None = None,
        *,
        precision: str = "auto",
        compile: bool = False,
    ) -> None:
        self.model, self.device, self.precision, self.compile = model, device, precision, compile
        self.loaded: Loaded | None = None
        self._command, self._log_path = list(command or worker_command()), log
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._asked = ""
        self._closed = False
        self._may_reload = False  # whether the worker that runs is idle and can take another model

    async def load(self) -> Loaded:
        """Have the worker running and the model in it.

        Raises:
            EngineFailure: the model cannot be loaded.
            WorkerDied: the worker could not be started or ended.
        """
        async with self._turn:
            return await self._ensure_loaded()

    async def switch(self, model: Path) -> None:
        """Use `model` from the next `load` or reply on; an idle worker takes it without being started anew."""
        async with self._turn:
            self._may_reload = self.loaded is not None
            self.loaded, self.model = None, model

    async def ask(self, question: Question) -> Message:
        """The answer to a question; its `request` is replaced by a number of ours.

        Raises:
            EngineFailure, WorkerDied: as `generate`.
        """
        async with self._turn:
            await (self._ensure_loaded() if question.of_model else self._ensure_running())
            request, done = str(next(self._numbers)), False
            try:
                await self._send(replace(question, request=request))
                async for answer in self._answers(request):
                    if done := isinstance(answer, OneAnswer):
                        return answer
                raise await self._died()
            finally:
                if not done:
                    self._leave(request)

    async def generate(
        self,
        messages: Sequence[dict[str, str]],
        params: SamplingParams,
        *,
        continue_last: bool = False,
        plain: bool = False,
        overlong: Literal["refuse", "cut"] = "refuse",
        alternatives: int = 0,
        begin: tuple[int, ...] = (),
    ) -> AsyncGenerator[Answer, None]:
        """Started, Deltas (with `alternatives` Tokens too) and Done of one reply; the options are Generate's.

        Raises:
            EngineFailure: the engine refuses (empty or too long a prompt, …).
            WorkerDied: the worker ended in mid-reply; the next call starts a new one.
        """
        async with self._turn:
            await self._ensure_loaded()
            request = self._asked = str(next(self._numbers))
            done = False
            try:
                wanted = Generate(request, tuple(messages), params, continue_last, plain, overlong, alternatives, begin)
                await self._send(wanted)
                async for answer in self._answers(request):
                    if isinstance(answer, Started | Delta | Tokens | Done):
                        yield answer
                    if done := isinstance(answer, Done):
                        return
            finally:
                self._asked = ""
                if not done:
                    self._leave(request)

    def _leave(self, request: str) -> None:
        """Nobody reads this answer any more: the next one must not wait for its end."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(encode(Cancel(request)))

    @property
    def answering(self) -> bool:
        """Whether a reply has been asked for and has not ended."""
        return bool(self._asked)

    async def cancel(self) -> None:
        """End the reply that is being made; it then yields Done with what there is."""
        if self._asked and self._process is not None:
            with suppress(WorkerDied):
                await self._send(Cancel(self._asked))

    async def close(self) -> None:
        """End the worker, whatever it is doing, also while it is being started."""
        self._closed = True
        await self._end()

    async def _ensure_running(self) -> None:
        """Have a worker, with or without a model in it."""
        if self._process is None or self._process.returncode is not None:
            await self._start()

    async def _ensure_loaded(self) -> Loaded:
        if self.loaded is not None and self._process is not None and self._process.returncode is None:
            return self.loaded
        if not (self._may_reload and self._process is not None and self._process.returncode is None):
            await self._start()
        self._may_reload = False
        await self._send(Load(str(self.model), self.device, self.precision, self.compile))
        async for message in self._answers("load"):
            if isinstance(message, Loaded):
                self.loaded = message
                LOG.info("%s is loaded: %s, %.1f s.", message.name, message.device_note, message.seconds)
                return message
        raise WorkerDied("The engine ended before the model was loaded.")

    async def _start(self) -> None:
        await self._end()
        self._closed = False
        self._log = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log or asyncio.subprocess.DEVNULL,
                limit=LONGEST_LINE,
                start_new_session=True,  # Ctrl-C in the terminal is for the app alone
            )
        except OSError as error:
            raise WorkerDied(f"The engine could not be started: {error.strerror}.") from error
        if self._closed:  # meanwhile
            await self._end()
            raise WorkerDied("The engine was ended while it was being started.")

    def _open_log(self) -> IO[bytes] | None:
        if self._log_path is None:
            return None
        try:
            rotate(self._log_path)
            return os.fdopen(os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
        except OSError:
            return None  # a read-only folder: chatting goes on without a log

    async def _end(self) -> None:
        process, self._process, self.loaded = self._process, None, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            # Closed by hand: otherwise the transport outlives the event loop and complains when it is collected.
            process._transport.close()  # type: ignore[attr-defined]
        if self._log is not None:
            self._log.close()
            self._log = None

    async def _send(self, message: Message) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(message))
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise await self._died() from error

    async def _answers(self, request: str) -> AsyncIterator[Message]:
        """Messages that answer `request`; a Failed one is raised, and so is the worker's end."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while line := await process.stdout.readline():
            message = decode(line)
            if isinstance(message, Loaded):
                yield message
            elif isinstance(message, Failed):
                if message.request in (request, ""):
                    raise EngineFailure(message.code, message.message)
            elif isinstance(message, Started | Delta | Tokens | Done | OneAnswer):
                if message.request == request:
                    yield message
            else:
                raise ProtocolError(f"The engine sent a {message.kind!r} message, which only the app may send.")
        raise await self._died()

    async def _died(self) -> WorkerDied:
        code = await self._process.wait() if self._process is not None else None
        await self._end()
        why = "out of memory, perhaps" if code == -9 else f"status {code}"
        hint = f" Its log is {self._log_path}." if self._log_path is not None and self._log_path.exists() else ""
        LOG.error("The engine ended with status %s.", code)
        return WorkerDied(f"The engine stopped unexpectedly ({why}). It starts again with your next message.{hint}")
