"""Bytes → text that is safe on a terminal: charsets that lie, control characters, escape sequences."""

from __future__ import annotations

import re

ESCAPE = "\u241b"  # what stands for the ESC character: seen, and without effect
OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def decode(raw: bytes, charset: str | None) -> str:
    """`raw` by its declared `charset` when that works, else as UTF-8, else as Windows-1252. Never fails."""
    for name in (charset, "utf-8"):
        if name and name.lower() not in ("unknown-8bit", "default", "us-ascii", "ascii", "unicode-1-1-utf-7"):
            try:
                return raw.decode(name)
            except (LookupError, ValueError, RuntimeError):
                continue
    return raw.decode("cp1252", "replace")


def clean(text: str) -> str:
    """`text` with plain line ends and no control characters but tab and newline; ESC becomes a visible sign."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x1b", ESCAPE))
