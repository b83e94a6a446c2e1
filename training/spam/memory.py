"""Memory: old mails in figures, in the folder of a spam scorer, for retraining it where no old mail is at hand.

Owns the file: hashed columns, the network's row, log-odds and label of mails that are played back and of others that
old and new are compared on. No text is in it, and none can be read out of it; whoever has a word in mind can look
whether its column is there. Making it is `remembering.py`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import ModelFolderError
from training.spam.traces import Traces

FILE = "memory.npz"
VERSION = 1
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Memory:
    """What a scorer remembers of old mail. The log-odds are those of scorers that had not seen it, moved by what was
    learned since."""

    replayed: Traces
    benchmark: Traces  # others, which nothing is learned from


def write_memory(memory: Memory, folder: Path) -> None:
    """Write `memory` into the scorer's `folder`. The same memory gives the same bytes."""
    parts = (memory.replayed, memory.benchmark)
    arrays: dict[str, np.ndarray] = {"version": np.array(VERSION)}
    for name, part in zip(("replayed", "benchmark"), parts, strict=True):
        arrays |= {f"{name}_{key}": value for key, value in _packed(part).items()}
    with (folder / FILE).open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_memory(folder: Path) -> Memory | None:
    """What the scorer in `folder` remembers; None: it was made without a memory.

    Raises:
        ModelFolderError: it is damaged, or of another version.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if int(arrays["version"]) != VERSION:
                raise ValueError(f"version {int(arrays['version'])}, where {VERSION} is read")
            parts = [_unpacked(arrays, name) for name in ("replayed", "benchmark")]
    except (OSError, ValueError, LookupError, EOFError, TypeError, RuntimeError, *DAMAGED_ZIP) as error:
        raise ModelFolderError(
            f"What the spam scorer remembers of old mail, {path}, is damaged ({error}). Install homespun again, or "
            "delete the file: the scorer then learns without it."
        ) from error
    return Memory(*parts)


def _packed(traces: Traces) -> dict[str, np.ndarray]:
    """`traces` in bytes that deflate well: of the columns the gaps between them, one plane a byte; values and the
    network's rows in 255 steps."""
    places, first = traces.places, _first(traces.sizes)
    gaps = np.diff(traces.columns, prepend=0)
    gaps[first] = traces.columns[first]
    most = np.full(len(traces), np.finfo(np.float32).tiny, dtype=np.float32)
    np.maximum.at(most, places, traces.values)
    middle = (traces.pooled.max(axis=0) + traces.pooled.min(axis=0)) / 2
    reach = np.abs(traces.pooled - middle).max(axis=0) / 127 + np.finfo(np.float32).tiny
    return {
        "spam": traces.spam,
        "sizes": traces.sizes.astype(np.uint16),  # of 8,000 characters, which is what is read of a mail, all fit
        "gaps": np.stack([gaps & 255, gaps >> 8 & 255, gaps >> 16]).astype(np.uint8),
        "values": np.rint(traces.values / most[places] * 255).astype(np.uint8),
        "most": most,
        "rows": np.rint((traces.pooled - middle) / reach).astype(np.int8),
        "middle": middle,
        "reach": reach,
        "hashed": traces.hashed.astype(np.float32),
        "neural": traces.neural.astype(np.float32),
    }


def _unpacked(arrays: Mapping[str, np.ndarray], name: str) -> Traces:
    """The traces whose arrays' names begin with `name`. Raises ValueError when they do not fit each other."""

    def array(key: str) -> np.ndarray:
        return arrays[f"{name}_{key}"]

    spam, sizes, most = array("spam"), array("sizes").astype(np.int64), array("most")
    low, mid, high = array("gaps").astype(np.int64)
    columns = np.cumsum(low | mid << 8 | high << 16)
    first = _first(sizes)
    before = np.concatenate([[0], columns])[first]
    columns -= np.repeat(before, sizes[sizes > 0])
    values = array("values").astype(np.float32) / 255 * np.repeat(most, sizes)
    pooled = array("rows").astype(np.float32) * array("reach") + array("middle")
    hashed, neural = array("hashed").astype(np.float64), array("neural").astype(np.float64)
    if not len(spam) == len(sizes) == len(pooled) == len(hashed) == len(neural):
        raise ValueError("its mails are not of one number")
    return Traces(spam, sizes, columns, values, hashed, pooled, neural)


def _first(sizes: np.ndarray) -> np.ndarray:
    """Where the columns of each mail that has any begin."""
    return (np.cumsum(sizes) - sizes)[sizes > 0]
