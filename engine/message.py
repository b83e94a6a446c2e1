"""Message: what everything that goes over the worker's pipe inherits from. The messages are `protocol.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Message:
    """Shared by both directions. Subclasses set `kind`, the name on the wire."""

    kind: ClassVar[str] = ""
