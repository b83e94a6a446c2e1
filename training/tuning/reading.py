"""Reading people's files: any usual encoding, with a note where it had to be guessed, and nothing too large to hold.

Owns bytes → text. What the text says is `answers.py` and the like.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import TrainingError

LARGEST = 64_000_000  # bytes of a file of examples: a million of them, more than anybody reviews
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass
class Text:
    """What a file says, and what should be known about how it was read."""

    text: str
    notes: list[str] = field(default_factory=list)


def read_text(path: Path, largest: int = LARGEST) -> Text:
    """The text of `path`. Lines that are not UTF-8 are read as Windows-1252, and said.

    Raises:
        TrainingError: missing, not a file, too large, empty, or no text.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise TrainingError(f"{path} is not a file.")
        if size > largest:
            raise TrainingError(
                f"{path} has {size / 1e6:,.0f} MB, and examples come from files of at most {largest / 1e6:,.0f} MB. "
                "Take a part of it, or let the model read it as a document."
            )
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    for mark, encoding in MARKS:
        if data.startswith(mark):
            try:
                return Text(data.decode(encoding))
            except UnicodeDecodeError as error:
                raise TrainingError(
                    f"{path} says that it is {encoding.upper()}, and is not. Save it as UTF-8."
                ) from error
    if b"\x00" in data[:100_000]:
        raise TrainingError(f"{path} is not a text file. Save it as CSV, JSON lines, Markdown or plain text in UTF-8.")
    if not data.strip():
        raise TrainingError(f"{path} is empty.")
    try:
        return Text(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _mixed(path, data)


def _mixed(path: Path, data: bytes) -> Text:
    """Line by line: one program has added to another one's file."""
    lines, odd = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            lines.append(line.decode("utf-8"))
        except UnicodeDecodeError:
            lines.append(line.decode("cp1252", "replace"))
            odd.append(number)
    where = f"line {odd[0]}" if len(odd) == 1 else f"{len(odd)} lines (the first is {odd[0]})"
    return Text("\n".join(lines), [f"{path.name}: {where} not in UTF-8, read as Windows-1252; look at the accents."])
