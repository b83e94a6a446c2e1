"""Keys, pastes, clicks and sizes at random into a real window (MONKEY_MINUTES=2): does it stay open, and whole?"""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.assistant.killing import Toll, examine
from tests.assistant.terminal import Terminal

# All but Ctrl+Q, Ctrl+C and Ctrl+Z: what leaves.
CONTROL = [chr(number) for number in range(1, 27) if number not in (3, 17, 26)]
KEYS = [*CONTROL, "\x1b", "\x1b[Z", "\x7f", "\x1b[3~", "\x1b[H", "\x1b[F", "\x1b[5~", "\x1b[6~"]
KEYS += [f"\x1b[{letter}" for letter in "ABCD"] * 3 + [f"\x1bO{letter}" for letter in "PQRS"]
KEYS += [f"\x1b[{number}~" for number in (15, 17, 18, 19, 20, 21, 23, 24)]
WORDS = [
    *"abcdeghijklmnoprstuvwxyzDNG+-?/@ .12",
    "hello there",
    "/model ",
    "/inspect\r",
    "/spam\r",
    "/library\r",
    "@/tm",
]
PASTES = ["x" * 300, "a line\n" * 40, "\x1b[31mred", "日本 😀"]
COLUMNS, ROWS = (1, 3, 10, 30, 40, 72, 80, 120), (1, 2, 5, 10, 24, 40)
SECONDS = 20.0  # a window


def play(data: Path, luck: random.Random) -> list[str]:
    """The mistakes that one window has logged. A window that was left (by the palette, say) has ended well."""
    with Terminal(data, size=(100, 30), FAKE_WORKER=luck.choice(["", "slow"])) as terminal:
        terminal.begin()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and terminal.process.poll() is None:
            _do(terminal, luck)
            time.sleep(luck.choice([0, 0, 0.02, 0.1]))
        status = terminal.process.poll()
    log = (data / "logs" / "homespun.log").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\d{4}-\d\d-\d\d )", log)
    mistakes = [_told(entry) for entry in entries if " CRITICAL " in entry]
    return [*mistakes, *([f"it ended with {status}"] if status else [])]


def _told(entry: str) -> str:
    """The last line of a traceback, and where it was raised."""
    places = re.findall(r'File ".*?([^/]+/[^/]+)", line (\d+), in (\S+)', entry)
    return f"{entry.rstrip().rpartition(chr(10))[2]}   ({':'.join(places[-1]) if places else '?'})"


def _do(terminal: Terminal, luck: random.Random) -> None:
    what = luck.random()
    if what < 0.04:
        terminal.resize(luck.choice(COLUMNS), luck.choice(ROWS))
    elif what < 0.07:
        click = f"\x1b[<0;{luck.randint(1, 80)};{luck.randint(1, 24)}"
        terminal.type(f"{click}M{click}m" * luck.randint(1, 3))
    elif what < 0.09:
        terminal.paste(luck.choice(PASTES))
    else:
        terminal.type(luck.choice([*KEYS, *WORDS]))


def main() -> None:
    minutes, seed = float(os.environ.get("MONKEY_MINUTES", "2")), int(os.environ.get("MONKEY_SEED", "1"))
    luck, toll, mistakes = random.Random(seed), Toll(), Counter[str]()
    windows = max(1, round(minutes * 60 / SECONDS))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(windows):
            data = Path(folder, str(number))
            mistakes.update(play(data, luck))
            examine(data / "chats.db", [], toll)
    print(f"\nkeys at random (seed {seed}): {windows} windows, {len(toll.damage)} databases damaged")
    for mistake, times in mistakes.most_common():
        print(f"  {times} × {mistake}")


if __name__ == "__main__":
    main()
