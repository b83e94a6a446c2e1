"""Moving spam out of a Maildir and back: nothing is deleted or overwritten, and every move is written down first."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

from assistant.errors import UsageError

JOURNAL = "homespun-moved.jsonl"


def prepare(target: Path) -> None:
    """Make `target` a Maildir.

    Raises:
        UsageError: it cannot be made, or holds something else.
    """
    if os.path.isdir(target) and any(target.iterdir()) and not (target / "cur").is_dir():
        raise UsageError(f"{target} is not empty and no Maildir. Name a new folder, or a Maildir, for --move.")
    try:
        for name in ("cur", "new", "tmp"):
            (target / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {target} cannot be made: {error.strerror}.") from error


def move(mail: Path, target: Path) -> Path:
    """Move file `mail` of a Maildir into Maildir `target`; returns where it is now.

    Raises:
        OSError: it could not be moved, and is where it was.
    """
    goal = _free(target / mail.parent.name / mail.name)
    with (target / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps({"from": str(mail.resolve()), "to": str(goal.resolve())}) + "\n")
        journal.flush()
        os.fsync(journal.fileno())
    _rename(mail, goal)
    return goal


def undo(target: Path) -> tuple[int, list[str]]:
    """Move every mail back that `move` brought to `target`; (how many, a sentence for each that stays where it is).

    Raises:
        UsageError: nothing was moved there.
    """
    journal = target / JOURNAL
    try:
        rows = [_row(line) for line in journal.read_text(encoding="utf-8").split("\n") if line.strip()]
    except FileNotFoundError:
        raise UsageError(f"Nothing was moved to {target} by homespun (it has no {JOURNAL}).") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{journal} cannot be read ({error}).") from error
    back, left, stays = 0, [], []
    for row in reversed(rows):
        if row is None:
            stays.append(f"A line of {journal} cannot be read; a mail may be left there.")
            continue
        there, home = Path(row["to"]), Path(row["from"])
        found: Path | None = there
        try:
            found = _renamed_since(there)
            if found is None:
                if not home.exists():
                    stays.append(f"{there} is not there any more.")
                continue
            if home.exists():
                raise FileExistsError(errno.EEXIST, "there is a mail of that name already")
            home.parent.mkdir(parents=True, exist_ok=True)
            _rename(found, home)
            back += 1
        except OSError as error:
            stays.append(f"{found} stays where it is: {(error.strerror or str(error)).lower()}.")
            left.append(row)
    try:
        if left:
            temporary = journal.with_suffix(".tmp")
            temporary.write_text("".join(json.dumps(row) + "\n" for row in reversed(left)), encoding="utf-8")
            temporary.replace(journal)
        else:
            journal.unlink()
    except OSError as error:
        stays.append(f"{journal} cannot be written: {(error.strerror or str(error)).lower()}.")
    return back, stays


def _row(line: str) -> dict[str, str] | None:
    """A move; None where the line is none: it may have been cut off."""
    try:
        row = json.loads(line)
        return {"from": str(row["from"]), "to": str(row["to"])}
    except (ValueError, KeyError, TypeError):
        return None


def _renamed_since(path: Path) -> Path | None:
    """`path`, or the same mail with other flags or in the other half of its Maildir, as mail readers rename it."""
    if path.exists():
        return path
    unique = path.name.partition(":")[0]
    for half in ("cur", "new"):
        folder = path.parent.parent / half
        if folder.is_dir():
            for name in os.listdir(folder):
                if name.partition(":")[0] == unique:
                    return folder / name
    return None


def _free(path: Path) -> Path:
    """`path`, or with a number in its name when there is such a file already."""
    unique, colon, flags = path.name.partition(":")
    number = 0
    while path.exists():
        number += 1
        path = path.with_name(f"{unique}.{number}{colon}{flags}")
    return path


def _rename(old: Path, new: Path) -> None:
    """Rename without ever replacing a file; between two disks by a copy that is whole before the old one goes."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:
        # Another disk, or one without hard links.
        temporary = new.parent.parent / "tmp" / new.name if new.parent.parent.joinpath("tmp").is_dir() else new
        try:
            shutil.copy2(old, temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if temporary != new:
                os.rename(temporary, new)
        except OSError:  # a full disk: no half of a mail stays
            temporary.unlink(missing_ok=True)
            raise
    try:
        os.unlink(old)
    except OSError:  # its folder may not be written: then it is not moved, and not there twice
        os.unlink(new)
        raise
