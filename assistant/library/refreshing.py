"""Refresher: has libraries read by a child process, one at a time, while the window goes on; says how far it is."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import LibraryError
from assistant.library.walking import changes
from assistant.storage.libraries import Libraries
from assistant.text import printable


class Refresher:
    """Of the libraries in the database file `path`; None: chats are in memory only, and so there are none."""

    def __init__(self, path: Path | None, tell: Callable[[str, bool], None] = lambda said, bad: None) -> None:
        self._path, self.tell = path, tell  # `tell` hears a sentence at the end, and whether it is about a failure
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: dict[str, asyncio.Task[str]] = {}
        self.lines: dict[str, str] = {}  # how far each library is that is being read
        self.finished = 0  # how often one has ended, so that a list knows when to look again

    def start(self, library: str) -> asyncio.Task[str]:
        """Read what is new or changed in `library`; the one that is under way, where one is."""
        if (task := self._tasks.get(library)) is None or task.done():
            self.lines[library] = "waiting …" if self._turn.locked() else "looking …"
            task = self._tasks[library] = asyncio.get_running_loop().create_task(self._run(library))
        return task

    def stop(self, library: str) -> None:
        """Call it off; the documents that were read stay."""
        if task := self._tasks.get(library):
            task.cancel()

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def stale(self, library: str) -> bool:
        """Whether a file of `library` is new, changed or gone; looked up in a thread."""
        return self._path is not None and await asyncio.to_thread(_stale, self._path, library)

    async def _run(self, library: str) -> str:
        said, bad = "", True
        try:
            async with self._turn:
                said = await self._read(library)
            bad = False
        except LibraryError as error:
            said = str(error)
        except asyncio.CancelledError:
            said, bad = f"Stopped reading {library}; what was read is kept.", False
            raise
        finally:
            self.lines.pop(library, None)
            self.finished += 1
            if said:
                self.tell(printable(said), bad)
        return said

    async def _read(self, library: str) -> str:
        if self._path is None:
            raise LibraryError("Documents need a data folder that can be written.")
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "assistant.library.indexing", str(self._path), library),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdout is not None
        last: dict[str, Any] = {}
        total = 0
        try:
            while line := await process.stdout.readline():
                last = json.loads(line)
                total = last.get("total", total)
                if "done" in last:
                    self.lines[library] = f"{last['done']:,} of {total:,} · {printable(last['name'])}"
            await process.wait()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined] # as in engine_client.py
        if "error" in last:
            raise LibraryError(last["error"])
        if "read" not in last:
            raise LibraryError(f"Reading {library} ended early (status {process.returncode}). What was read is kept.")
        return summary(library, last["read"], last["gone"], last["problems"])


def summary(library: str, read: int, gone: int, problems: int) -> str:
    """What a reading did, in a sentence; "" where nothing was to be done."""
    parts = [f"{read:,} document{'' if read == 1 else 's'} read"] if read else []
    parts += [f"{problems:,} of them cannot be used"] if problems else []
    parts += [f"{gone:,} gone"] if gone else []
    return f"{library}: {', '.join(parts)}." if parts else ""


def _stale(path: Path, library: str) -> bool:
    store = Libraries(path)
    try:
        return bool(changes(store.sources(library), store.stamps(library)))
    finally:
        store.close()
