"""The file of settings as it travels in an archive: put in place where there is none, or where a person asks for it.

What is in it is settings/config.py's business; here it is a text that comes from outside.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from assistant.errors import ExchangeError
from assistant.settings.config import write_whole

LARGEST = 2**20  # bytes; nobody has set so much


def text_of(path: Path) -> str:
    """The settings in `path`; "" where there are none that can be read."""
    try:
        return path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST else ""
    except (OSError, UnicodeDecodeError):
        return ""


def differs(text: str, path: Path) -> bool:
    """Whether there are settings in `path`, and other ones than `text`."""
    return bool(text) and path.exists() and text_of(path) != text


def put(text: str, path: Path, *, instead: bool = False) -> str:
    """Make `text` the settings where there are none in `path`; `instead`: also where there are some, which are kept.

    Returns a sentence about what was done; "" where there was nothing to do.

    Raises:
        ExchangeError: it cannot be written.
    """
    if not text or (path.exists() and not differs(text, path)):
        return ""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return "The settings in it are no readable TOML and were left out."
    if path.exists() and not instead:
        return "Its settings were left out: yours stay."
    kept = path.with_name(f"{path.name}.before")
    try:
        if path.exists():
            write_whole(kept, path.read_bytes())
        write_whole(path, text.encode())
    except OSError as error:
        raise ExchangeError(f"{path} cannot be written: {error.strerror}.") from error
    return "The settings are the archive's now" + (f"; yours are kept in {kept}." if instead else ".")
