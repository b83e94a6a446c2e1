"""The computer: torch and its device, room on the disk, the terminal, and packages that get in our way."""

from __future__ import annotations

import json
import locale
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from assistant.doctor.findings import Finding
from assistant.models.events import size_text
from assistant.paths import Paths

OURS = ("assistant", "engine", "training")
SCARCE, LITTLE = 50_000_000, 1_000_000_000  # bytes of room: a problem, a warning
ENGINE_SECONDS = 120.0


def engine(seconds: float = ENGINE_SECONDS) -> Iterator[Finding]:
    """Asks a process of the engine's, for torch is never imported here."""
    command = [sys.executable, "-P", "-m", "engine.about"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
        about = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        advice = f"See what is wrong: {sys.executable} -m engine.about; mostly, installing torch again helps."
        yield Finding("problem", "Engine", "It cannot be started.", advice)
        return
    if "error" in about:
        yield Finding("problem", "Engine", about["error"], "Install torch again: pip install --force-reinstall torch")
        return
    yield Finding("good", "Engine", f"torch {about['torch']}; {about['note']}.")
    if shutil.which("nvidia-smi") and "cuda" not in about["devices"]:
        built = "was built without CUDA" if not about["cuda"] else "does not find it (driver too old?)"
        advice = "Install a torch for your CUDA: https://pytorch.org/get-started/locally/"
        yield Finding("warning", "Engine", f"There is an NVIDIA GPU, but torch {built}; the CPU is used.", advice)


def disk(paths: Paths) -> Iterator[Finding]:
    """Room and the right to write, where chats, models and logs are kept."""
    for about, folder in (("Data folder", paths.data), ("Logs", paths.logs)):
        there = next((f for f in (folder, *folder.parents) if f.exists()), Path("/"))
        if not os.access(there, os.W_OK | os.X_OK):
            advice = "Make it writable, or set HOMESPUN_DATA_DIR to a folder that is."
            yield Finding("problem", about, f"{there} is read-only; nothing can be kept.", advice)
            continue
        free = shutil.disk_usage(there).free
        said = f"{folder}, {size_text(free)} free."
        if free < LITTLE:
            level = "problem" if free < SCARCE else "warning"
            advice = "Free some space; homespun models list says what models take."
            yield Finding(level, about, said, advice)  # type: ignore[arg-type]
        else:
            yield Finding("good", about, said)


def software() -> Iterator[Finding]:
    """Python and SQLite."""
    python, lite = sys.version.split()[0], sqlite3.sqlite_version
    yield Finding("good", "Python", f"{python}, SQLite {lite}.")
    options = {row[0] for row in sqlite3.connect(":memory:").execute("PRAGMA compile_options")}
    if "ENABLE_FTS5" not in options:
        advice = "Use a Python whose SQLite has FTS5, such as python.org's or your system's."
        yield Finding("problem", "SQLite", "It was built without full-text search (FTS5).", advice)


def terminal(environment: Mapping[str, str] = os.environ, *, tty: bool | None = None) -> Iterator[Finding]:
    """What the terminal can show and tell."""
    tty = sys.stdout.isatty() if tty is None else tty
    kind = environment.get("TERM", "")
    if not tty:
        yield Finding("note", "Terminal", "The output goes to a file or pipe, so nothing was found out about it.")
    elif kind in ("", "dumb"):
        yield Finding(
            "problem", "Terminal", f"TERM is {kind or 'not set'}.", "Use a terminal that can move its cursor."
        )
    else:
        size = shutil.get_terminal_size()
        true = environment.get("COLORTERM") in ("truecolor", "24bit")
        colours = "16 million colours" if true else "256 colours" if "256" in kind else "few colours"
        yield Finding("good", "Terminal", f"{kind}, {size.columns}×{size.lines}, {colours}.")
        if size.columns < 40 or size.lines < 10:
            yield Finding(
                "warning", "Terminal", "It is very small.", "Make it 80×24 or more: the list of chats needs room."
            )
        if colours == "few colours":
            advice = "Set TERM=xterm-256color, and COLORTERM=truecolor if the terminal can do that."
            yield Finding("warning", "Terminal", "It says it has 16 colours or fewer.", advice)
    encoding = locale.getencoding()
    if encoding.lower().replace("-", "") != "utf8":
        advice = "Set LANG to a UTF-8 locale, such as C.UTF-8."
        yield Finding(
            "warning", "Terminal", f"The locale's encoding is {encoding}: letters may come out wrong.", advice
        )
    if environment.get("TMUX") or kind.startswith("screen"):
        advice = "In tmux.conf: set -g set-clipboard on, and set -g escape-time 10, for copying and a quick Esc."
        yield Finding("note", "Terminal", "It runs inside tmux or screen.", advice)


def packages() -> Iterator[Finding]:
    """Does anybody else install packages of our names, and does Python take ours?"""
    owners = metadata.packages_distributions()
    clashes = {name: sorted(set(owners.get(name, ())) - {"homespun"}) for name in OURS}
    for name, others in clashes.items():
        if others:
            said = f"{', '.join(others)} also installs a package called {name}; one overwrites the other."
            yield Finding("problem", "Packages", said, "Install homespun alone: pipx install homespun")
    ours = Path(__file__).parents[2].resolve()
    for name in OURS:
        found = PathFinder.find_spec(name)
        place = Path(found.origin).resolve() if found and found.origin else None
        if place is not None and ours not in place.parents:
            said = f"Python takes {place.parent} for our package {name}."
            yield Finding("problem", "Packages", said, "Move that folder off PYTHONPATH, or install homespun alone.")
            clashes[name] = [str(place)]
    if not any(clashes.values()):
        yield Finding("good", "Packages", "Nobody else has packages called assistant, engine or training.")
