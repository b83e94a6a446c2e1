"""Names of the models that runs make: of plain letters, and not taken. Owns nothing else."""

from __future__ import annotations

import re


def free_name(wanted: str, taken: set[str]) -> str:
    """`wanted` as a model's name that is not among `taken`: made of letters that may stand there, with a number."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-._")[:50] or "mine"
    lower = {one.casefold() for one in taken}
    if name.casefold() not in lower:
        return name
    return next(f"{name}-{n}" for n in range(2, 10_000) if f"{name}-{n}".casefold() not in lower)
