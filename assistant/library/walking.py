"""Which files a library has, and which of them are new, changed or gone since they were read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assistant.library.kinds import IN_FOLDERS

MOST = 20_000  # files of one library; a person who names / as a folder does not mean it
SKIPPED = {"node_modules", "__pycache__", "venv", "site-packages"}
Stamp = tuple[int, int]  # size in bytes, time of change in ns


@dataclass
class Changes:
    """What is to be done to an index."""

    read: list[Path] = field(default_factory=list)  # new or changed
    gone: list[str] = field(default_factory=list)
    total: int = 0  # files there are
    too_many: bool = False  # only the first MOST files are looked at

    def __bool__(self) -> bool:
        return bool(self.read or self.gone)


def changes(sources: Iterable[str], known: Mapping[str, Stamp]) -> Changes:
    """Compare what lies in `sources` (files and folders) with what is `known` of it."""
    found = Changes()
    seen: set[str] = set()
    for path in files(sources):
        name = str(path)
        if name in seen:
            continue
        if len(seen) == MOST:
            found.too_many = True
            break
        seen.add(name)
        if known.get(name) != stamp(path):
            found.read.append(path)
    found.gone = [name for name in known if name not in seen]
    found.total = len(seen)
    return found


def stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def files(sources: Iterable[str]) -> Iterator[Path]:
    """The documents in `sources`; of folders those of known kinds, no hidden ones. Linked folders are left out."""
    for source in map(Path, sources):
        if not source.is_dir():
            if source.exists():
                yield source
            continue
        for folder, folders, names in os.walk(source):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in SKIPPED)
            for name in sorted(names):
                path = Path(folder, name)
                if not name.startswith(".") and path.suffix.lower() in IN_FOLDERS and path.is_file():
                    yield path
