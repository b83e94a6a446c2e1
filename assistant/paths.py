"""Where things lie on disk: one data folder, by the system's habits, or where HOMESPUN_DATA_DIR says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import StorageError


@dataclass(frozen=True)
class Paths:
    """The data folder and what is in it."""

    data: Path
    state: Path | None = None  # what may be thrown away: below the data folder where it is None

    @property
    def database(self) -> Path:
        return self.data / "chats.db"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def runs(self) -> Path:
        """Fine-tuning runs, a folder each."""
        return self.data / "runs"

    @property
    def settings(self) -> Path:
        """What the command line needs to know too, without a database: which model is the default."""
        return self.data / "settings.json"

    @property
    def config(self) -> Path:
        """What a person set for all chats; they may edit it."""
        return self.data / "settings.toml"

    @property
    def looks(self) -> Path:
        """How the window looked last, for its outline."""
        return (self.state or self.data) / "looks.json"

    @property
    def logs(self) -> Path:
        return self.state / "logs" if self.state else self.data / "logs"

    @property
    def engine_log(self) -> Path:
        return self.logs / "engine.log"

    def make(self) -> None:
        """Make the data folder, readable by its owner only.

        Raises:
            StorageError: it cannot be made or written to.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The data folder {self.data} cannot be made: {error.strerror}.") from error
        if not os.access(self.data, os.W_OK | os.X_OK):
            raise StorageError(f"The data folder {self.data} is read-only.")


def find_paths(folder: Path | None = None) -> Paths:
    """The paths below `folder`, HOMESPUN_DATA_DIR, or the system's place for an app's data, in this order."""
    if folder is None and (named := os.environ.get("HOMESPUN_DATA_DIR")):
        folder = Path(os.path.expanduser(named))
    if folder is None:
        from platformdirs import user_data_path, user_state_path

        return Paths(user_data_path("homespun", appauthor=False), user_state_path("homespun", appauthor=False))
    return Paths(folder)


def homely(path: str | Path) -> str:
    """`path` as people write it: with ~ for their home."""
    text, home = str(path), os.path.expanduser("~")
    return f"~{text[len(home) :]}" if text == home or text.startswith(home.rstrip("/") + "/") else text
