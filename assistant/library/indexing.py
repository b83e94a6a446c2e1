"""The child process that reads a library's documents: `python -m assistant.library.indexing DATABASE LIBRARY`.

A process of its own, so that no large or hostile file holds up the window or takes its memory. Prints one JSON object a
line: {"total"}, {"done", "name", "problem"}…, {"read", "gone", "problems"}. Each document is one transaction: it may be
killed at any time, and the next one goes on from there.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError, LibraryError, LockedError
from assistant.library.chunking import Passage, passages
from assistant.library.extracting import extract
from assistant.library.walking import MOST, changes, stamp
from assistant.storage.libraries import Libraries
from assistant.text import printable

SECONDS = 60  # for one file
PATIENCE = 20  # seconds to wait for another process that writes
MEMORY = 4 * 2**30  # bytes the child may take


def main(arguments: list[str]) -> int:
    database, name = arguments
    _limit_memory()
    store = Libraries(Path(database))
    try:
        index(store, name)
    except AssistantError as error:
        _tell(error=str(error))
        return 2
    finally:
        store.close()
    return 0


def index(store: Libraries, library: str) -> None:
    """Bring the index of `library` up to date with its files."""
    todo = changes(store.sources(library), store.stamps(library))
    if todo.too_many:
        _tell(note=f"{library} has more than {MOST:,} files; only the first are read.")
    _tell(total=len(todo.read))
    store.forget_documents(library, todo.gone)
    problems = 0
    for done, path in enumerate(todo.read, 1):
        before = stamp(path)
        if before is None:
            continue  # gone while the others were read
        found, problem = read(path)
        problems += bool(problem)
        _patiently(lambda: store.put_document(library, str(path), before, found, problem))  # noqa: B023 - at once
        _tell(done=done, name=printable(path.name), problem=problem)
    store.settle()
    _tell(read=len(todo.read), gone=len(todo.gone), problems=problems)


def _patiently(write: Callable[[], None]) -> None:
    """Do it, also when another process writes for long, as an import does."""
    for _ in range(PATIENCE):
        try:
            return write()
        except LockedError:
            time.sleep(1)
    write()


def read(path: Path) -> tuple[list[Passage], str]:
    """The passages of a file, or none and why."""
    try:
        with suppress(AttributeError, ValueError):  # Windows has no alarms
            signal.signal(signal.SIGALRM, _too_long)
            signal.alarm(SECONDS)
        return passages(extract(path)), ""
    except LibraryError as error:
        return [], str(error)
    except _TooLong:
        return [], f"It takes longer than {SECONDS} seconds to read."
    except (MemoryError, RecursionError):
        return [], "It takes too much memory to read."
    finally:
        with suppress(AttributeError, ValueError):
            signal.alarm(0)


class _TooLong(BaseException):
    """Raised by the alarm; no Exception, so that no library on the way takes it for an error of the file."""


def _too_long(*_: Any) -> None:
    raise _TooLong


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows; macOS refuses
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - the pipe


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
