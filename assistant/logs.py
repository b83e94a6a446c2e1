"""The app's own log: what happened and when, never what was said. It rotates, and so does the engine's beside it."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from assistant.text import printable

LOG = logging.getLogger("homespun")
LOG.addHandler(logging.NullHandler())  # until `begin`, and on the command line: else Python prints warnings
LARGEST = 500_000  # bytes of a log, before it becomes the older one
KEPT = 3  # older ones
TAIL = 64_000  # bytes that are read of the end


class _Private(RotatingFileHandler):
    """Files that only their owner may read; a full disk is no reason to stop."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def begin(folder: Path) -> None:
    """Write to `folder` from now on; where that cannot be, to nowhere."""
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    end()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _Private(folder / "homespun.log", maxBytes=LARGEST, backupCount=KEPT, encoding="utf-8")
    except OSError:
        LOG.addHandler(logging.NullHandler())
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    LOG.addHandler(handler)


def end() -> None:
    """Close the log."""
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)
        with suppress(OSError):  # its last lines, on a disk that is full
            handler.close()


def rotate(path: Path) -> None:
    """Make room for a log that another process writes: `path` becomes `path`.1, that .2, when it is large."""
    with suppress(OSError):
        if path.stat().st_size <= LARGEST:
            return
        for number in range(KEPT, 1, -1):
            with suppress(FileNotFoundError):
                os.replace(f"{path}.{number - 1}", f"{path}.{number}")
        os.replace(path, f"{path}.1")


def tail(path: Path, size: int = TAIL) -> str:
    """The last lines of a log, fit for a terminal; "" where there is none."""
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(length - size, 0))
            raw = file.read()
    except OSError:
        return ""
    text = raw.decode("utf-8", "replace")
    return printable(text.partition("\n")[2] if length > size else text)
