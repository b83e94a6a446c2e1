"""New files that are whole or not there, and readable by their owner only. What is in them is others' business."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from assistant.errors import ExchangeError


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which must not be there yet; it is taken away again when the writing fails.

    Raises:
        ExchangeError: there is one already, or it cannot be written.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
    except FileExistsError:
        raise ExchangeError(f"{path} is there already; choose another name.") from None
    except OSError as error:
        raise ExchangeError(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with file:
            yield file
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ExchangeError(f"{path} cannot be written: {error.strerror or error}.") from None
        raise
