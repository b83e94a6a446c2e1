"""Completing a path that is being typed, as a shell does. Bounded: of a huge folder the first entries are looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice, takewhile

MOST_ENTRIES = 5000  # of a folder that are looked at


def candidates(typed: str, endings: Sequence[str] = (), most: int = 8) -> list[str]:
    """What `typed` may be meant to become, folders (with a "/" behind them) first; "~" stays as it was typed.

    `endings`: files that are called otherwise come last. Hidden ones only where a dot was typed.
    """
    folder, _, begun = typed.rpartition("/")
    there = os.path.expanduser(folder + "/" if "/" in typed else "./")
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(there) as entries:
            for entry in islice(entries, MOST_ENTRIES):
                if not entry.name.startswith(begun) or (entry.name.startswith(".") and not begun.startswith(".")):
                    continue
                is_folder = entry.is_dir()
                wanted = not endings or entry.name.lower().endswith(tuple(endings))
                name = f"{folder}/{entry.name}" if "/" in typed else entry.name
                found.append((0 if is_folder else 1 if wanted else 2, name + "/" * is_folder))
    except OSError:
        return []
    return [name for _, name in sorted(found)[:most] if name.isprintable()]


def completed(typed: str, endings: Sequence[str] = ()) -> str:
    """`typed` as far as all candidates agree; the whole first one where they agree on nothing more."""
    names = candidates(typed, endings, most=MOST_ENTRIES)
    if not names:
        return typed
    first, last = min(names), max(names)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return first[:same] if same > len(typed) else names[0]
