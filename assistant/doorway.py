"""The doorway: an outline of the window, on screen at once, while the libraries that draw the real one are imported.

Owns the outline and what the terminal was like before it. Keys that are pressed meanwhile are kept and not echoed: the
window gets them. It imports nothing that takes time, and is nothing where there is no POSIX terminal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

SIDE = 26  # columns of the list of chats
NARROW = 72  # columns; with fewer, that list goes
SHORT = 16  # rows; with fewer, whatever is not text goes, in all screens
HINT = "Type here · / commands · @ files · ↓ examples"
COLOURS = {"background": "#1d1b19", "surface": "#252220", "panel": "#2e2a27", "primary": "#e0a458", "muted": "#777675"}
_VALUED = ("--model", "--device", "--precision", "--data-dir")
_OPEN, _SHUT = "\x1b[?1049h\x1b[?25l\x1b[H", "\x1b[0m\x1b[?1049l\x1b[?25h"  # xterm: the other screen, without a cursor
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_before: list[Any] | None = None  # the terminal's attributes; None: the doorway is shut
_told = False  # to end, by a signal


def options(arguments: Sequence[str]) -> dict[str, str] | None:
    """The options of the command `homespun` where it opens the window with these arguments; None where it does not."""
    found, rest = {}, iter(arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if name in _VALUED:
            value = value if given else next(rest, "")
        if not (value if name in _VALUED else argument == "--compile"):
            return None  # another command, or wrong: the command line says so
        found[name] = value
    return found


def possible() -> bool:
    """Whether there is a terminal to show it in."""
    there = sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()
    return termios is not None and there and os.environ.get("TERM") != "dumb"


def open_(looks: Path) -> None:
    """Show the outline, in the colours that the window had last: see `remember`."""
    global _before
    if not possible():
        return
    try:
        fileno = sys.stdin.fileno()
        _before, raw = termios.tcgetattr(fileno), termios.tcgetattr(fileno)
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)  # but Ctrl+C still ends it: see `_end`
        raw[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
        raw[6][termios.VMIN] = 1
        termios.tcsetattr(fileno, termios.TCSANOW, raw)
        for number in _SIGNALS:
            signal.signal(number, _end)
    except (termios.error, OSError, ValueError):
        return
    _write(_OPEN + outline(*os.get_terminal_size(), _read(looks)))


def keep_signals() -> None:
    """Keep SIGINT and SIGTERM from here on, until the window can end by them: see `told`.

    Before `hand_over` a second one ends the process.
    """
    if _before is not None:
        for number in _SIGNALS:
            signal.signal(number, _keep)


def hand_over(driver: Any, looks: Path) -> None:
    """The window has the terminal now, by Textual's `driver`, and will leave it as it was before the doorway."""
    global _before
    if _before is not None:
        driver.attrs_before, _before = _before, None
        with suppress(OSError):  # some terminals clear the other screen when it is asked for once more
            driver.write(outline(*os.get_terminal_size(), _read(looks)))


def told() -> bool:
    """Whether a signal to end has been kept."""
    return _told


def close() -> None:
    """Leave the terminal as it was, if the window has not taken over: for a sentence about what is wrong."""
    global _before
    if _before is not None:
        before, _before = _before, None
        _write(_SHUT)
        with suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)


def _keep(number: int, _: object) -> None:
    global _told
    if _told and _before is not None:  # the window has not even the terminal yet
        _end(number, _)
    _told = True


def _end(number: int, _: object) -> None:
    """A signal's end of the process. Nothing is raised: imports hand exceptions on as others, or keep them."""
    close()
    os._exit(128 + number)


def remember(looks: Path, side: bool, **colours: str) -> None:
    """Have the next outline look so; nothing where that cannot be written."""
    with suppress(OSError):
        looks.write_text(json.dumps({"side": side, **colours}), encoding="utf-8")


def _read(looks: Path) -> dict[str, Any]:
    try:
        told = json.loads(looks.read_text(encoding="utf-8"))
        return {**COLOURS, "side": True, **told}
    except (OSError, ValueError, TypeError):
        return {**COLOURS, "side": True}


def outline(width: int, height: int, looks: dict[str, Any]) -> str:
    """The window without its words, as text and escape sequences for a terminal of so many columns and rows."""
    side = SIDE if width >= NARROW and looks["side"] else 0
    room = width - side
    ground, surface = _paint(looks["background"], 48), _paint(looks["surface"], 48)
    line, muted = _paint(looks["primary"], 38), _paint(looks["muted"], 38)
    hint = HINT[: max(room - 6, 0)]
    rows = [f"{surface}{' ' * side}{ground}{' ' * room}"] * max(height - 2, 0)
    if height >= SHORT:
        bar = "─" * max(room - 4, 0)
        inside = f"{line}│ {muted}{hint}{' ' * (room - 6 - len(hint))} {line}│"
        box = [f"{line}╭{bar}╮", inside, f"{line}╰{bar}╯"]
        rows[-3:] = [f"{surface}{' ' * side}{ground} {one} " for one in box]
    elif rows:
        rows[-1] = f"{surface}{' ' * side}{surface} {muted}{hint}{' ' * max(room - 1 - len(hint), 0)}"
    rows += [f"{ground}{muted}{'  opening …'[:width]:<{width}}", _paint(looks["panel"], 48) + " " * width]
    return "".join(f"\x1b[{place};1H{row}\x1b[0m" for place, row in enumerate(rows[-height:], 1))


def _paint(colour: str, where: int) -> str:
    """The sequence for a colour #rrggbb in front (38) or behind (48); "" where there may be no such colours."""
    if "NO_COLOR" in os.environ or os.environ.get("COLORTERM") not in ("truecolor", "24bit"):
        return ""
    try:
        return f"\x1b[{where};2;{int(colour[1:3], 16)};{int(colour[3:5], 16)};{int(colour[5:7], 16)}m"
    except (ValueError, TypeError):
        return ""


def _write(text: str) -> None:
    with suppress(OSError, ValueError):
        fileno, rest = sys.stdout.fileno(), text.encode()
        while rest:  # not by `sys.stdout`, which a signal may not enter again
            rest = rest[os.write(fileno, rest) :]
