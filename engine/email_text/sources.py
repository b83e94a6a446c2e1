"""Where mails come from: a text, an .eml file, an mbox, a Maildir, folders of these, standard input.

Gives one mail after the other with the name of its place, in constant memory: an mbox is never read whole, and of an
attachment only the beginning is kept. What cannot be read becomes an item with one sentence, and the rest goes on.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LONGEST = 8_000_000  # bytes of one mail that are kept
LINE = 65_536  # bytes read as one line at most
ENCODED_LINES = 6_000  # of base64 in a row that are kept (about 450 KB): enough for any text
ENDINGS = (".eml", ".mbox", ".mbx", ".emlx", ".txt", ".msg", ".mail", ".html", ".htm")


@dataclass(frozen=True)
class Item:
    """One mail, or the reason why there is none."""

    name: str  # its file, and in an mbox its number: "inbox.mbox#12"
    raw: bytes = b""
    size: int = 0  # bytes that it has where it lies
    note: str = ""  # what was left out while reading, a sentence
    error: str = ""  # one sentence; then `raw` is empty
    path: Path | None = None  # of the file that holds this mail alone


def read_all(names: Iterable[str], stdin: Callable[[], BinaryIO]) -> Iterator[Item]:
    """The mails at `names`, each a path or "-" for what `stdin` opens."""
    for name in names:
        if name == "-":
            yield from _guarded("-", lambda: _stream("-", stdin(), None))
        else:
            yield from read_path(Path(os.path.expanduser(name)))


def read_path(path: Path) -> Iterator[Item]:
    """The mails in file or folder `path`, in the order of their names."""
    yield from _guarded(str(path), lambda: _path(path))


def total_size(names: Iterable[str]) -> int:
    """Bytes of all mail at `names`, as far as that can be seen without reading; 0 when standard input is among them."""
    total = 0
    for name in names:
        path = Path(os.path.expanduser(name))
        try:
            files = [] if name == "-" else list(_files(path)) if path.is_dir() else [path]
            total += sum(file.stat().st_size for file in files)
        except OSError:
            continue
        if name == "-":
            return 0
    return total


def is_maildir(path: Path) -> bool:
    return os.path.isdir(path / "cur") and os.path.isdir(path / "new")


def _guarded(name: str, items: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    try:
        yield from items()
    except OSError as error:
        yield Item(name, error=f"{name} cannot be read: {(error.strerror or str(error)).lower()}.")


def _path(path: Path) -> Iterator[Item]:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        yield from _folder(path)
    elif stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
        with path.open("rb") as file:
            yield from _stream(str(path), file, path)
    else:
        yield Item(str(path), error=f"{path} is neither a file nor a folder.")


def _folder(path: Path) -> Iterator[Item]:
    found, unreadable = False, []  # type: bool, list[OSError]
    for file in _files(path, unreadable.append):
        found = True
        if file.is_fifo():  # somebody named it; in a folder nobody did, and it may never say a word
            yield Item(str(file), error=f"{file} is no file.")
        else:
            yield from read_path(file)
    for error in unreadable:
        found = True
        yield Item(
            str(error.filename), error=f"{error.filename} cannot be read: {(error.strerror or str(error)).lower()}."
        )
    if not found:
        yield Item(
            str(path), error=f"{path} has no mail in it: no Maildir (cur, new), and no {', '.join(ENDINGS[:3])}."
        )


def _files(top: Path, unreadable: Callable[[OSError], object] | None = None) -> Iterator[Path]:
    """The mail files below `top`: all of a Maildir's, and elsewhere those that are called like mail."""
    for folder, below, names in os.walk(top, onerror=unreadable):
        here = Path(folder)
        below[:] = sorted(name for name in below if name != "tmp" or not is_maildir(here))
        maildir = here.name in ("cur", "new") and is_maildir(here.parent)
        for name in sorted(names):
            if maildir or name.lower().endswith(ENDINGS):
                yield here / name


def _stream(name: str, file: BinaryIO, path: Path | None) -> Iterator[Item]:
    lines = iter(lambda: file.readline(LINE), b"")
    first = next(lines, b"").removeprefix(codecs.BOM_UTF8)
    while first and not first.strip():
        first = next(lines, b"")
    if path is not None and path.suffix == ".emlx" and first.strip().isdigit():
        first = next(lines, b"")  # Apple Mail writes how long the mail is
    if _is_envelope(first):
        yield from _mbox(name, lines)
    else:
        raw, size, note = gather(_chain(first, lines))
        if is_binary(raw):
            yield Item(name, error=f"{name} is neither text nor a mail.")
        else:
            yield Item(name, raw, size, note, path=path)


def _chain(first: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from lines


_ENVELOPE = re.compile(rb"From \S.{0,300}?\b\d\d?:\d\d(?::\d\d)?\b.{0,40}\b\d{4}\b")  # RFC 4155: with a time and a year


def _is_envelope(line: bytes) -> bool:
    """Whether `line` begins a mail in an mbox: "From address date". A sentence that begins so is text."""
    return bool(_ENVELOPE.match(line))


def _mbox(name: str, lines: Iterator[bytes]) -> Iterator[Item]:
    """The mails of an mbox whose first envelope has been read; one that is cut off ends with what there is."""
    number, more = 0, True

    def one() -> Iterator[bytes]:
        nonlocal more
        blank = False
        for line in lines:
            if blank and _is_envelope(line):
                return
            blank = not line.strip()
            yield line[1:] if line.startswith(b">From ") else line
        more = False

    while more:
        number += 1
        raw, size, note = gather(one())
        if raw.strip() or number == 1:
            yield Item(f"{name}#{number}", raw, size, note)


def gather(lines: Iterable[bytes]) -> tuple[bytes, int, str]:
    """(the lines of one mail without the bulk of attachments, all their bytes, a sentence when some were left out)."""
    kept: list[bytes] = []
    size = run = dropped = 0
    for line in lines:
        # A line without a gap and longer than 58: base64 or the like. Text is not written so for thousands of lines.
        run = run + 1 if len(line) > 58 and b" " not in line and b"<" not in line else 0
        if run > ENCODED_LINES or size > LONGEST:
            dropped += len(line)
            continue
        kept.append(line)
        size += len(line)
    note = f"{dropped / 1e6:.1f} MB of it, of attachments as it seems, were not read." if dropped else ""
    return b"".join(kept), size + dropped, note


def is_binary(raw: bytes) -> bool:
    """Whether `raw` is no text in any encoding: an image, a program, an archive."""
    start = raw[:8192]
    if not start or start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    from engine.email_text.mime import looks_like_message

    odd = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in start)
    return odd > 0.05 * len(start) and not looks_like_message(raw.replace(b"\0", b""))
