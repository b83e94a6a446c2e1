"""What `list` and `info` say of a model, as text and as JSON; the window's picker says the same."""

from __future__ import annotations

from typing import Any

from assistant.models.events import parameters_text, size_text
from assistant.paths import homely
from assistant.text import printable
from engine.catalog import BYTES_PER_WEIGHT, ModelInfo


def as_json(info: ModelInfo, *, default: bool) -> dict[str, Any]:
    """Everything known about `info`, in plain types; sizes in bytes, the context in tokens."""
    return {
        "name": info.key,
        "path": str(info.path),
        "default": default,
        "bundled": info.bundled,
        "linked": bool(info.facts.get("linked")),
        "architecture": info.architecture,
        "parameters": info.parameters,
        "context_length": info.context_length,
        "chat_template": info.has_template,
        "licence": info.licence,
        "source": info.facts.get("source"),
        "revision": info.facts.get("revision"),
        "added": info.facts.get("added"),
        "size": info.size,
        "memory": memory_needed(info),
        "sha256": info.facts.get("sha256") or {},
    }


def memory_needed(info: ModelInfo) -> dict[str, int]:
    """Bytes that the weights take in memory, by precision; nothing where their number is unknown."""
    if not info.parameters:
        return {}
    return {precision: round(info.parameters * width) for precision, width in BYTES_PER_WEIGHT.items()}


def columns(info: ModelInfo, *, default: bool) -> tuple[str, str, str, str, str]:
    """Name, parameters, size on disk, licence, and what is special about it."""
    marks = [word for word, holds in (("default", default), ("linked", info.facts.get("linked"))) if holds]
    parameters = parameters_text(info.parameters)
    return printable(info.key), parameters, size_text(info.size), printable(info.licence or "?"), ", ".join(marks)


def summary(info: ModelInfo) -> str:
    """One line below a name: "124 M parameters, 548 MB, MIT"."""
    parts = [f"{parameters_text(info.parameters)} parameters"] if info.parameters else []
    return ", ".join([*parts, size_text(info.size), printable(info.licence or "licence unknown")])


# What chat models of a size are good for, by experience and not by a measurement: parameters below → words.
GOOD_FOR = (
    (60e6, "small talk, simple questions, short messages"),
    (1e9, "everyday questions, short texts, summaries"),
    (5e9, "questions, longer texts, small programs"),
    (float("inf"), "hard questions, long texts, programs"),
)


def good_for(info: ModelInfo) -> str:
    """What to use it for; "" where that cannot be told."""
    said = info.facts.get("good_for")
    if isinstance(said, str) and said:
        return printable(said)
    if info.has_template is False:
        return "going on with a text; it does not chat"
    if not info.parameters:
        return ""
    return next(words for below, words in GOOD_FOR if info.parameters < below)


def speed_text(per_second: float | None) -> str:
    """How fast it was on this machine, tokens/s."""
    return "not tried here yet" if per_second is None else f"{per_second:.0f} tok/s here"


def rows(info: ModelInfo, *, default: bool) -> list[tuple[str, str]]:
    """(what, value) for `info`, in the order one reads them."""
    facts = info.facts
    source = facts.get("source") or ("came with homespun" if info.bundled else "put into the folder by hand")
    revision = f" (commit {facts['revision'][:12]})" if isinstance(facts.get("revision"), str) else ""
    needed = ", ".join(f"{precision} {size_text(size)}" for precision, size in memory_needed(info).items())
    template = {True: "yes", False: "no: it completes text and does not chat", None: "unknown"}[info.has_template]
    listed = [
        ("Name", info.key + (" (the default)" if default else "")),
        ("Architecture", info.architecture or "unknown"),
        ("Parameters", f"{info.parameters:,}" if info.parameters else "unknown"),
        ("Context", f"{info.context_length:,} tokens" if info.context_length else "unknown"),
        ("On disk", size_text(info.size) + (" (files elsewhere, linked)" if facts.get("linked") else "")),
        ("In memory", needed or "unknown"),
        ("Chat template", template),
        ("Licence", info.licence or "unknown: ask where it comes from"),
        ("Source", f"{source}{revision}"),
        ("Added", str(facts.get("added") or "")[:16].replace("T", " ") + (" UTC" if facts.get("added") else "")),
        ("Folder", homely(info.path)),
    ]
    sums = facts.get("sha256")
    for name, checksum in sums.items() if isinstance(sums, dict) else ():
        if name.endswith((".safetensors", ".bin", ".gguf")):
            listed.append(("SHA-256", f"{checksum}  {name}"))
    return [(what, printable(str(value)).replace("\n", " ")) for what, value in listed if value]
