"""A path as somebody types it, or as a terminal writes it when a file is dropped on it: quoted, escaped, or a URL."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit


def typed_path(text: str) -> Path:
    """The path that `text` means: as it stands, or as a shell or a `file:` URL says it where only that is there."""
    text = text.strip()
    asked = Path(os.path.expanduser(text))
    if _there(asked):
        return asked
    others = []
    if text.lower().startswith("file:"):
        with suppress(ValueError):
            others.append(unquote(urlsplit(text).path))
    with suppress(ValueError):  # a quote that does not end
        others += words if len(words := shlex.split(text)) == 1 else []
    return next((path for other in others if _there(path := Path(os.path.expanduser(other)))), asked)


def dropped_file(text: str) -> str:
    """`text` where it is nothing but the path of a file that is there, from the root or the home on; else ""."""
    text = text.strip()
    looks_so = "\n" not in text and text.lower().startswith(("/", "~/", "'/", '"/', "file:/"))
    return text if looks_so and len(text) < 4096 and typed_path(text).is_file() else ""


def _there(path: Path) -> bool:
    with suppress(OSError, ValueError):  # too long, or a NUL in it
        return os.path.lexists(path)
    return False
