"""The two short-lived children of the training menu: one previews a run, one answers with an old and a new model.

Owns their pipes; what they say is `training/tuning/preview.py` and `commands.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.errors import LearningError
from assistant.text import printable

LONGEST_LINE = 1 << 26  # bytes
COMMAND = (sys.executable, "-P", "-m", "training", "teach")


@dataclass(frozen=True)
class Row:
    """One example as the model will see it."""

    place: str
    parts: tuple[tuple[str, bool], ...]  # (text of a token, whether it is learned)
    tokens: int
    problem: str  # why it is left out; "" when it is learned from
    note: str


@dataclass
class Preview:
    """What a run would see and cost, as far as it is known."""

    rows: list[Row] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    estimate: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


class Child:
    """A process of the lab that ends with the `async with` block."""

    def __init__(self, *words: str, command: Sequence[str] = COMMAND) -> None:
        self._words = [*command, *words]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Child:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                env={**os.environ, "TQDM_DISABLE": "1"},
                start_new_session=True,
            )
        except OSError as error:
            raise LearningError(f"A process could not be started: {error.strerror}.") from error
        self._errors = asyncio.create_task(self._last_error())
        return self

    async def _last_error(self) -> str:
        """The last line of what it complains about, read all the time, so that it never waits for us."""
        assert self._process is not None
        assert self._process.stderr is not None
        last = b""
        while chunk := await self._process.stderr.read(1 << 16):
            last = (last + chunk)[-4096:]
        lines = [line for line in last.decode("utf-8", "replace").splitlines() if line.strip()]
        return printable(lines[-1]) if lines else ""

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        assert process is not None
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._errors.cancel()
        await asyncio.gather(self._errors, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # it outlives the event loop otherwise

    async def line(self) -> Any:
        """Its next line; None at its end. Lines that are no JSON are for people and passed over.

        Raises:
            LearningError: it ended with an error.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with suppress(ValueError):
                return json.loads(line)
        status = await self._process.wait()
        if status:
            said = (await self._errors).removeprefix("Error: ")
            raise LearningError(said or f"The lab's process ended unexpectedly (status {status}).")
        return None

    async def tell(self, value: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # then `line` says what happened
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            await self._process.stdin.drain()


async def previews(draft: Path, *, estimate: bool = True) -> AsyncGenerator[Preview, None]:
    """The preview of the wish in `draft`, again each time that more of it is known.

    Raises:
        LearningError: the process failed.
    """
    found = Preview()
    async with Child("preview", str(draft), *([] if estimate else ["--no-estimate"])) as child:
        while (told := await child.line()) is not None:
            kind = told.pop("kind", "") if isinstance(told, dict) else ""
            if kind == "row":
                found.rows.append(_row(told))
                if len(found.rows) != 30:  # a first page at once, the rest together
                    continue
            elif kind == "summary":
                found.summary = told
            elif kind == "estimate":
                found.estimate = told
            elif kind == "failed":
                found.failed = printable(str(told.get("text", "")))
            yield found


def _row(told: dict[str, Any]) -> Row:
    parts = tuple((printable(str(text)), bool(learned)) for text, learned in told.get("parts", ()))
    words = [printable(str(told.get(name, ""))) for name in ("place", "problem", "note")]
    return Row(words[0], parts, int(told.get("tokens", 0)), words[1], words[2])
