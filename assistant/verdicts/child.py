"""A child process of the lab: what it says is followed line by line, and its whole group ends with us."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

from assistant.text import printable

LONGEST_SAID = 20_000  # bytes of each stream that are kept


async def run_child(command: Sequence[str], on_line: Callable[[str], None]) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of `command`; `on_line` hears the last line again and again.

    Raises:
        OSError: it could not be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the app's, and the whole group can be ended
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said, complaint = await asyncio.gather(_follow(process.stdout, on_line), _follow(process.stderr, on_line))
        return await process.wait(), said, complaint
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        # Closed by hand: otherwise the transport outlives the event loop and complains when it is collected.
        process._transport.close()  # type: ignore[attr-defined]


async def _follow(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> str:
    """All of `stream`, its end where it is long. A progress bar's carriage returns count as line ends."""
    said = b""
    while data := await stream.read(4096):
        said = (said + data)[-LONGEST_SAID:]
        lines = _lines(said)
        if lines and lines[-1].strip(" {}[]"):
            on_line(" ".join(lines[-1].split())[:100])
    return "\n".join(_lines(said))


def _lines(said: bytes) -> list[str]:
    return printable(said.decode("utf-8", "replace").replace("\r", "\n")).strip().splitlines()


def complaint_of(stderr: str, otherwise: str) -> str:
    """The sentence in which a command of the lab says what is wrong."""
    lines = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    return lines[-1].removeprefix("Error: ") if lines else otherwise
