"""Text files that go along with a message: @name in the text. Finding the mentions, reading the files.

A sent message has the files' texts below its own, between <file> and </file>: so the model reads them, and so they are
kept with the chat as they were.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError
from assistant.text import printable

LARGEST = 2_000_000  # bytes of a file; no model here reads as much
_MENTION = re.compile(r'(?<!\S)@(?:"([^"\n]+)"|(\S+))')
_BLOCK = re.compile(r'\n*<file name="([^"\n]*)">\n(.*?)\n</file>', re.DOTALL)


@dataclass(frozen=True)
class Mention:
    """A file that exists, as it was written behind the @."""

    written: str
    path: Path


def mentions(text: str) -> list[Mention]:
    """The files that `text` mentions, each once; an @ before anything else is just a word."""
    found: dict[str, Mention] = {}
    for match in _MENTION.finditer(text):
        for written in _readings(match[1] or match[2], quoted=bool(match[1])):
            path = Path(os.path.expanduser(written))
            try:
                if path.is_file():
                    found.setdefault(written, Mention(written, path))
                    break
            except (OSError, ValueError):  # too long for a name, or none at all
                break
    return list(found.values())


def _readings(written: str, *, quoted: bool) -> list[str]:
    """A name at the end of a sentence has its full stop or comma behind it."""
    bare = written.rstrip(".,;:!?)")
    return [written] if quoted or bare == written or not bare else [written, bare]


def read(mention: Mention) -> str:
    """The file's text.

    Raises:
        UsageError: it is no text, too large, or cannot be read.
    """
    name = printable(mention.written)
    try:
        if mention.path.stat().st_size > LARGEST:
            raise UsageError(f"{name} is too large to send along: {LARGEST // 1_000_000} MB at most.")
        data = mention.path.read_bytes()
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.") from None
    if b"\0" in data:
        raise UsageError(f"{name} is no text file.")
    try:
        return printable(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UsageError(f"{name} is no text in UTF-8.") from None


def with_files(text: str) -> str:
    """`text` and below it the files it mentions.

    Raises:
        UsageError: as `read`.
    """
    blocks = []
    for mention in mentions(text):
        name = printable(mention.path.name).replace('"', "'").replace("\n", " ")
        blocks.append(f'<file name="{name}">\n{read(mention)}\n</file>')
    return "\n\n".join([text, *blocks])


def files_in(message: str) -> tuple[str, list[tuple[str, str]]]:
    """A sent message taken apart again: its own words, and (name, text) of each file."""
    files = [(match[1], match[2]) for match in _BLOCK.finditer(message)]
    return (_BLOCK.sub("", message) if files else message), files
