"""Config: what a person set for all chats, kept in a TOML file they may edit by hand; its comments and order survive.

What is set for one chat or one model is in the database. What the settings do is done by whoever reads them.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import SettingsError
from assistant.text import printable


@dataclass(frozen=True)
class Option:
    """A setting: what it is at first, what it is called, and what it does."""

    default: bool | int | str
    title: str
    tells: str


OPTIONS: dict[str, Option] = {
    "theme": Option("homespun-dark", "Theme", "the colours of the window"),
    "reduced_motion": Option(False, "Reduced motion", "nothing moves, blinks or fades; replies grow in larger steps"),
    "vim_keys": Option(False, "Vim keys", "Esc in the prompt begins the normal mode; a second Esc stops a reply"),
    "chat_list": Option(True, "List of chats", "whether the chats are listed at the side when the window opens"),
    "fold_pastes": Option(12, "Fold pastes", "a paste of more lines shows as one line and is sent whole; 0: never"),
    "persona": Option("", "Persona", "what new chats tell the model before they begin; empty: nothing"),
}
KEYS = "keys"  # the table of keys, by the names in screens/keys.py
HEAD = "# The settings of homespun. Change them here or in the window; your comments stay.\n"


class Config:
    """The settings in the file `path`, which need not be there.

    `warnings` has a sentence for everything in it that could not be used.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.warnings = path, list[str]()
        self._values: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        self.read()

    def read(self) -> None:
        """Take what the file says now; what it does not say, or says wrongly, is at its default."""
        self.warnings, self._values, self.keys = [], {}, {}
        try:
            found = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except OSError as error:
            self.warnings.append(f"The settings in {self.path} cannot be read: {error.strerror}.")
            return
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self.warnings.append(f"The settings in {self.path} are not read: {printable(str(error))}. Mend the file.")
            return
        keys = found.pop(KEYS, {})
        for name, value in found.items():
            self._take(name, value)
        for name, value in keys.items() if isinstance(keys, dict) else ():
            if isinstance(value, str) and value.strip():
                self.keys[name] = value.replace(" ", "")
            else:
                self._doubt(f"the key of {name} must be a text such as {'ctrl+n'!r}")

    def _take(self, name: str, value: Any) -> None:
        if name not in OPTIONS:
            self._doubt(f"there is no setting {name}")
        elif type(value) is not type(OPTIONS[name].default):
            kind = {bool: "true or false", int: "a whole number", str: "a text"}[type(OPTIONS[name].default)]
            self._doubt(f"{name} must be {kind}")
        else:
            self._values[name] = printable(value) if isinstance(value, str) else value

    def _doubt(self, what: str) -> None:
        self.warnings.append(f"In {self.path.name}, {printable(what)}.")

    def get(self, name: str) -> Any:
        return self._values.get(name, OPTIONS[name].default)

    def has(self, name: str) -> bool:
        """Whether it was set, be it to the default."""
        return name in self._values

    def flag(self, name: str) -> bool:
        return bool(self.get(name))

    def set(self, name: str, value: bool | int | str) -> None:
        """Set it, here and in the file.

        Raises:
            SettingsError: the file cannot be changed; the setting holds until the window closes.
        """
        self._values[name] = value
        self._write(None, name, value)

    def set_key(self, name: str, keys: str | None) -> None:
        """Give the binding `name` other keys, or its own ones back.

        Raises:
            SettingsError: as `set`.
        """
        self.keys.pop(name, None)
        if keys is not None:
            self.keys[name] = keys
        self._write(KEYS, name, keys)

    def _write(self, table: str | None, name: str, value: Any) -> None:
        """Change one value in the file as it is now, which may not be as it was read."""
        import tomlkit  # 40 ms that only a change costs
        from tomlkit.exceptions import TOMLKitError

        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else HEAD
            document = tomlkit.parse(text)
            place: Any = document
            if table is not None:
                place = document.setdefault(table, tomlkit.table())
            if value is None:
                place.pop(name, None)
            else:
                place[name] = value
            write_whole(self.path, tomlkit.dumps(document).encode())
        except (TOMLKitError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise SettingsError(
                f"{self.path} is no readable TOML ({printable(str(error))}), so the change holds only until you leave."
            ) from error
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be written ({error.strerror}), so the change holds only until you leave."
            ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write the whole file beside and put it in place, so that a power cut leaves the old or the new one.

    Raises:
        OSError: it cannot be written; then it is as it was.
    """
    target = Path(os.path.realpath(path))  # people keep such files elsewhere and link to them
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
