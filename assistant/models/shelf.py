"""The models folder: what is in it, which model is the default, what is unfinished, and taking things out.

Torch-free and without a database, because the command line needs it for every question. Putting models in is
`adding.py`; reading one's facts is `engine/catalog.py`. What is being written lies in `.incoming`, which no list shows.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import ModelsError
from assistant.paths import Paths
from assistant.text import printable
from engine.catalog import BUNDLED, DEFAULT_MODEL, ModelInfo, base_of, find, is_adapter, list_models, unreadable
from engine.errors import ModelFolderError

INCOMING = ".incoming"
REMOVED = ".removed-"


@dataclass(frozen=True)
class Unfinished:
    """A download that was cut off and can go on."""

    name: str
    source: str  # what `add` is to be given to go on
    have: int  # bytes


class Shelf:
    """The models below `paths`, and those in the wheel."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.folder = paths, paths.models
        self.incoming = paths.models / INCOMING

    def models(self) -> list[ModelInfo]:
        return list_models(self.folder)

    def faulty(self) -> list[tuple[str, str]]:
        """(name, why) of folders that hold no readable model."""
        return unreadable(self.folder)

    def unfinished(self) -> list[Unfinished]:
        found = []
        for job in sorted(self.incoming.glob("*.json")):
            folder = _folder_of(job)
            if folder.is_dir() and _read(job).get("resumable"):
                have = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
                found.append(Unfinished(folder.name, printable(str(_read(job).get("source"))), have))
        return found

    def find(self, name: str) -> ModelInfo:
        """The model called `name`, or at the path `name`.

        Raises:
            ModelFolderError: there is none.
        """
        return find(name, self.folder)

    # The default

    def default(self) -> tuple[ModelInfo, str]:
        """The model for those who name none, and a sentence where it is not the one that was chosen.

        Raises:
            ModelFolderError: not even the bundled one is there.
        """
        name = _read(self.paths.settings).get("default_model") or DEFAULT_MODEL
        try:
            return find(str(name), self.folder), ""
        except (ModelFolderError, OSError):
            if name == DEFAULT_MODEL:
                raise
        instead = find(DEFAULT_MODEL)
        return instead, f"The default model {printable(str(name))} cannot be opened any more; {instead.key} is used."

    def set_default(self, name: str) -> ModelInfo:
        """Make the model called `name` (or at a path) the default from now on.

        Raises:
            ModelFolderError: there is no such model.
            ModelsError: it cannot be written down.
        """
        info = self.find(name)
        inside = info.path.parent in (self.folder, BUNDLED)
        settings = _read(self.paths.settings)
        settings["default_model"] = info.path.name if inside else str(info.path.absolute())
        self._write(self.paths.settings, settings)
        return info

    def is_default(self, info: ModelInfo) -> bool:
        try:
            return self.default()[0].path == info.path
        except ModelFolderError:
            return False

    # Taking out

    def question(self, name: str) -> str:
        """What is to be asked before `name` is removed.

        Raises:
            ModelsError: it cannot be removed.
        """
        path = self._removable(name)
        if path.parent == self.incoming:
            return f"Discard what has come of {name} so far?"
        if path.is_symlink() or _linked(path):
            return f"Forget {name}? Its files stay where they are."
        return f"Remove {name} for good? Its folder is deleted."

    def remove(self, name: str) -> str:
        """Take `name` out of the models folder; files elsewhere are left alone. Returns a sentence about it.

        Raises:
            ModelsError: it is bundled, needed, not there, or cannot be deleted.
        """
        path = self._removable(name)
        was_default = path.parent == self.folder and _read(self.paths.settings).get("default_model") == name
        linked = path.is_symlink() or _linked(path)
        self.make()
        with self.holding(name):
            self._delete(path)
        if path.parent == self.incoming:
            self.forget_job(name)
            return f"What had come of {name} was discarded."
        said = f"{name} was forgotten; its files stay where they are." if linked else f"{name} was removed."
        if was_default:
            self.set_default(DEFAULT_MODEL)
            said += f" It was the default, which now is {DEFAULT_MODEL}."
        return said

    def _delete(self, path: Path) -> None:
        try:
            if path.is_symlink():
                path.unlink()
            else:
                gone = self.incoming / f"{REMOVED}{path.name}"
                shutil.rmtree(gone, ignore_errors=True)
                path.rename(gone)  # at once and whole; what a crash leaves of it is swept up later
                shutil.rmtree(gone)
        except OSError as error:
            raise ModelsError(f"{path.name} cannot be removed: {error.strerror or error}.") from error

    def _removable(self, name: str) -> Path:
        if name and name == Path(name).name and not name.startswith("."):
            path = self.folder / name
            if os.path.islink(path) or os.path.isdir(path):
                if path.is_dir() and (users := self._adapters_on(path)):
                    needed = f"{name} is needed by {', '.join(users)}, which was trained on it"
                    raise ModelsError(f"{needed}. Remove that first.")
                return path
            if os.path.isdir(self.incoming / name):
                return self.incoming / name
            if os.path.isdir(BUNDLED / name):
                raise ModelsError(f"{name} came with homespun and stays.")
        elif name and os.path.exists(os.path.expanduser(name)):
            raise ModelsError(f"{printable(name)} is not in the models folder {self.folder}; it is left alone.")
        known = ", ".join(info.path.name for info in self.models() if not info.bundled) or "none"
        raise ModelsError(f"There is no model called {printable(name)!r} to remove. Those one can remove: {known}.")

    def _adapters_on(self, path: Path) -> list[str]:
        users = []
        for other in self.folder.iterdir():
            if other != path and not other.name.startswith(".") and other.is_dir() and is_adapter(other):
                with suppress(ModelFolderError):
                    if base_of(other).resolve() == path.resolve():
                        users.append(other.name)
        return users

    # For adding.py

    def make(self) -> None:
        """Have the folders, and nothing in them that a process which is gone left half removed or half copied.

        Raises:
            ModelsError, StorageError: they cannot be made.
        """
        self.paths.make()
        try:
            self.incoming.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelsError(f"The models folder {self.folder} cannot be made: {error.strerror}.") from error
        for leftover in self.incoming.glob(f"{REMOVED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for job in self.incoming.glob("*.json"):
            if not _read(job).get("resumable"):
                with suppress(ModelsError), self.holding(job.name.removesuffix(".json")):
                    shutil.rmtree(_folder_of(job), ignore_errors=True)
                    job.unlink(missing_ok=True)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Nobody else adds or removes `name` meanwhile; the system lets go when a process dies.

        Raises:
            ModelsError: another process is at it.
        """
        from filelock import FileLock, Timeout  # not needed to look

        lock = FileLock(self.incoming / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ModelsError(f"{name} is being added already, in another window.") from None
        except OSError as error:
            raise ModelsError(f"The models folder {self.folder} cannot be written: {error.strerror}.") from error
        try:
            yield
        finally:
            with suppress(OSError):  # some systems do not delete what is open
                (self.incoming / f"{name}.lock").unlink()
            lock.release()

    def write_job(self, name: str, source: str, *, resumable: bool) -> None:
        """Note what the folder `name` in `.incoming` is going to be, and whether it can go on after a cut."""
        self._write(self.incoming / f"{name}.json", {"source": source, "resumable": resumable})

    def job_source(self, name: str) -> str | None:
        source = _read(self.incoming / f"{name}.json").get("source")
        return source if isinstance(source, str) else None

    def forget_job(self, name: str) -> None:
        (self.incoming / f"{name}.json").unlink(missing_ok=True)

    def _write(self, path: Path, data: dict[str, Any]) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise ModelsError(f"{path} cannot be written: {error.strerror or error}.") from error


def _read(path: Path) -> dict[str, Any]:
    """The object in `path`; nothing where there is none or it is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _folder_of(job: Path) -> Path:
    return job.with_name(job.name.removesuffix(".json"))


def _linked(path: Path) -> bool:
    """Whether the model in folder `path` only points to files elsewhere."""
    return any(file.is_symlink() for file in path.iterdir()) if path.is_dir() else False
