"""A first look at weight files, without the engine: is the file as long as its own header says?

Finds truncated and lying files in milliseconds. Whether the engine can open them is `python -m engine.check`, which
takes its time to import torch.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from assistant.errors import ModelsError

LONGEST_HEADER = 100_000_000  # bytes; the format's own limit
MOST = 1 << 20  # tensors or entries: a thousand times what real files have


def look_at(path: Path) -> None:
    """Read the header of the weight file `path`; other files are passed over.

    Raises:
        ModelsError: it is cut short, or says what cannot be.
    """
    try:
        if path.suffix == ".safetensors":
            why = _safetensors(path)
        else:
            with path.open("rb") as file:
                start = file.read(24)
            why = _gguf(start) if path.suffix == ".gguf" or start[:4] == b"GGUF" else ""
    except OSError as error:
        why = error.strerror or str(error)
    if why:
        raise ModelsError(f"{path.name} cannot be opened: {why}. Fetch the file again.")


def _safetensors(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            return "it is no safetensors file, or cut short"
        try:
            header = json.loads(file.read(length))
            ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "its header is damaged"
    expected = 8 + length + max(ends, default=0)
    return "" if size == expected else f"it has {size:,} bytes where its header says {expected:,}"


def _gguf(start: bytes) -> str:
    if len(start) < 24 or start[:4] != b"GGUF":
        return "it is no GGUF file, or cut short"
    version, tensors, entries = struct.unpack("<IQQ", start[4:])
    if version not in (2, 3):
        return f"it is of version {version} of GGUF, and only 2 and 3 can be read"
    if tensors > MOST or entries > MOST:
        return f"its header claims {tensors:,} tensors and {entries:,} entries, which cannot be"
    return ""
