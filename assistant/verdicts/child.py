"""A child process of the lab: what it says, and that its whole group ends with us."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from assistant.text import printable

LONGEST_SAID = 20_000  # bytes that are kept


async def run_child(command: Sequence[str]) -> tuple[int, str]:
    """(exit status, standard error) of `command`.

    Raises:
        OSError: it could not be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the app's, and the whole group can be ended
    )
    assert process.stderr is not None
    try:
        complaint = await _end_of(process.stderr)
        return await process.wait(), complaint
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        # Closed by hand: otherwise the transport outlives the event loop and complains when it is collected.
        process._transport.close()  # type: ignore[attr-defined]


async def _end_of(stream: asyncio.StreamReader) -> str:
    """All of `stream`, its end where it is long. A progress bar's carriage returns count as line ends."""
    said = b""
    while data := await stream.read(4096):
        said = (said + data)[-LONGEST_SAID:]
    return printable(said.decode("utf-8", "replace").replace("\r", "\n")).strip()


def complaint_of(stderr: str, otherwise: str) -> str:
    """The sentence in which a command of the lab says what is wrong."""
    lines = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    return lines[-1].removeprefix("Error: ") if lines else otherwise
