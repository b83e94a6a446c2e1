"""The two child processes of adding a model: the one that fetches (`fetch.py`) and the engine's check."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import Interrupted, ModelsError
from assistant.text import printable

WEDGED = 180.0  # seconds without a line: longer than any wait that fetch.py announces
CHECK_SECONDS = 300.0
FACTS = ("architecture", "parameters", "context_length", "has_template", "licence")
LONGEST_LINE = 1 << 24  # bytes
# No telemetry, and no look-ups beside the model itself.
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
}


class Child:
    """`fetch.py` at work on `job`; it ends with the `async with` block, whatever it is doing."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Child:
        command = [sys.executable, "-P", "-m", "assistant.models.fetch", json.dumps(self._job)]
        environment = dict(os.environ) | QUIET
        self._process = await _start(command, environment, stdin=asyncio.subprocess.PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await _end(self._process)

    async def go(self) -> None:
        """Let it begin with what its plan said."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # then `next` says what happened
            self._process.stdin.write(b"go\n")
            await self._process.stdin.drain()

    async def next(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            ModelsError, Interrupted: it failed, ended, or says nothing any more.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), WEDGED)
            message = json.loads(line) if line else {}
        except TimeoutError:
            raise Interrupted("Nothing has come for minutes. What there is stays: add it again to go on.") from None
        except ValueError:
            message = {}
        if not message:
            status = await self._process.wait()
            raise Interrupted(f"Fetching ended unexpectedly (status {status}). Add it again to go on.")
        if message["kind"] == "failed":
            raise (Interrupted if message["keep"] else ModelsError)(printable(message["message"]))
        return message


async def engine_check(path: Path, shown: str = "") -> dict[str, Any]:
    """What the engine says about the model at `path`; `shown` stands for the path in its sentence.

    Raises:
        ModelsError: it cannot open it.
    """
    command = [sys.executable, "-P", "-m", "engine.check", str(path)]
    process = await _start(command, dict(os.environ), stdin=asyncio.subprocess.DEVNULL)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), CHECK_SECONDS)
        found = json.loads(out)
    except (ValueError, TimeoutError):
        raise ModelsError(f"The engine could not look at {shown or path} (status {process.returncode}).") from None
    finally:
        await _end(process)
    if not found.get("ok"):
        sentence = str(found.get("message")).replace(f"{path}/", "").replace(str(path), shown or str(path))
        raise ModelsError(printable(sentence))
    return {key: found[key] for key in FACTS if found.get(key) is not None}


def weight_files(path: Path) -> list[Path]:
    """The weight files of the model at `path`, itself where it is one."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix in (".safetensors", ".gguf") and file.is_file())


async def _start(command: list[str], environment: dict[str, str], stdin: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_LINE,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal is for us alone
        )
    except OSError as error:
        raise ModelsError(f"A process could not be started: {error.strerror}.") from error


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    # Closed by hand: otherwise the transport outlives the event loop and complains when it is collected.
    process._transport.close()  # type: ignore[attr-defined]
