"""Files that are whole or not there: room looked for first, a temporary name, fsync, rename; and what was written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.export.families import ExportError

SPARE = 16 * 1024**2  # bytes that are left free


def check_space(folder: Path, needed: int) -> None:
    """Refuse before an hour's writing what will not fit into `folder`, which need not be there yet.

    Raises:
        ExportError: `needed` bytes do not.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise ExportError(
            f"The disk is too small: the export needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free in "
            f"{folder}. Make room, or choose another place with --out."
        )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which becomes `path` when the block ends well and is gone otherwise.

    Raises:
        ExportError: the disk is full, or the place cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}.") from error
    temporary = Path(name)
    try:
        yield temporary
        descriptor = os.open(temporary, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror)
        raise ExportError(f"{path} could not be written: {what}. Nothing was left behind.") from error
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written(path: Path) -> list[tuple[Path, int, str]]:
    """(path, bytes, sha256) of the file, or of every file in the folder, `path`."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    return [(file, file.stat().st_size, sha256(file)) for file in files]
