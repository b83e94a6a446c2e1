"""SpamSettings: which scorer judges and how many false alarms it may give; in one small file that every command reads.

Scorers that were trained here lie in `scorers/` below the data folder. The last one adopted judges; the ones before it
stay, to roll back to.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import engine.catalog
from assistant.errors import StorageError, UsageError
from assistant.paths import Paths
from engine.catalog import read_json
from engine.email_text.normalise import VERSION
from engine.errors import ModelFolderError

DEFAULT_RATE = 0.001  # one honest mail in a thousand
CLASSICAL = Path(engine.catalog.__file__).parent / "scorers" / "homespun-spam-classical"


@dataclass(frozen=True)
class InUse:
    """The scorer that judges: None is the one that ships. `note` says why it is not the one that was adopted."""

    folder: Path | None
    note: str = ""


class SpamSettings:
    """What `spam.json` in the data folder says; a damaged file says nothing."""

    def __init__(self, paths: Paths) -> None:
        self._file, self.folder = paths.data / "spam.json", paths.data / "scorers"

    @property
    def rate(self) -> float:
        """Share of honest mail that may be called spam, 0 … 1."""
        value = self._read().get("false_alarms")
        return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else DEFAULT_RATE

    def set_rate(self, text: str) -> float:
        """Take "0.1", "0.1 %" or "0,1 %" (per cent) as the rate from now on.

        Raises:
            UsageError: it is no number between 0 and 100.
            StorageError: it could not be written down.
        """
        rate = read_rate(text)
        self._write({**self._read(), "false_alarms": rate})
        return rate

    def in_use(self) -> InUse:
        """The scorer adopted last, unless it cannot judge any more."""
        adopted = self.adopted()
        if not adopted:
            return InUse(None)
        folder, instead = self.folder / adopted[-1], "; the one that comes with homespun judges."
        try:
            made_with = read_json(folder / "config.json").get("normaliser_version")
        except ModelFolderError:
            return InUse(None, f"Your own spam scorer {adopted[-1]} cannot be read{instead}")
        if made_with != VERSION:
            return InUse(None, f"Your own spam scorer {adopted[-1]} was made by an older homespun{instead}")
        return InUse(folder)

    def adopted(self) -> list[str]:
        """Names of the folders that were adopted, the one in use at the end."""
        names = self._read().get("adopted")
        return [str(name) for name in names] if isinstance(names, list) else []

    def next_folder(self) -> Path:
        """Where the next scorer is to be written. No name comes twice: the engine keeps scorers by their folders.

        Raises:
            StorageError: the folder cannot be made.
        """
        data = self._read()
        count = 1 + (data["made"] if isinstance(data.get("made"), int) else len(self.adopted()))
        self._write({**data, "made": count})
        name = f"spam-{count}"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        except OSError as error:
            raise StorageError(f"The folder {self.folder} cannot be made: {error.strerror}.") from error
        return self.folder / name

    def adopt(self, folder: Path) -> None:
        """Judge by the scorer in `folder`, which `next_folder` named, from now on."""
        self._write({**self._read(), "adopted": [*self.adopted(), folder.name]})

    def roll_back(self) -> str:
        """Judge by the scorer before; the one that was in use is deleted. Returns a sentence about it.

        Raises:
            UsageError: none was adopted.
        """
        adopted = self.adopted()
        if not adopted:
            raise UsageError("The scorer that comes with homespun is in use; there is nothing to go back from.")
        self._write({**self._read(), "adopted": adopted[:-1]})
        shutil.rmtree(self.folder / adopted[-1], ignore_errors=True)
        before = f"your scorer {adopted[-2]}" if len(adopted) > 1 else "the scorer that comes with homespun"
        return f"{adopted[-1]} was removed; {before} judges again."

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, data: dict[str, Any]) -> None:
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            temporary.chmod(0o600)
            temporary.replace(self._file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(f"{self._file} cannot be written: {error.strerror or error}.") from error


def read_rate(text: str) -> float:
    """A share from per cent as people write them.

    Raises:
        UsageError: it is no number between 0 and 100.
    """
    try:
        rate = float(text.strip().removesuffix("%").strip().replace(",", ".")) / 100
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise UsageError("The rate of false alarms is a number of per cent between 0 and 100, such as 0.1.")
    return rate


def written_rate(rate: float) -> str:
    """A rate of false alarms as one types it, in per cent: 0.0015 → "0.15 %"."""
    return f"{100 * rate:.6f}".rstrip("0").rstrip(".") + " %"


def per_cent(share: float) -> str:
    """0.001 → "0.1 %"; 0.99995 → "99.99 %": what is not certain is never shown as 100 %."""
    value = 100 * share
    if 0 < share < 1 and (value > 99.9 or value < 0.1):
        return f"{min(max(value, 0.01), 99.99):.2f} %"
    return f"{value:.1f} %".replace(".0 %", " %")
