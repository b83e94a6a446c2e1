"""How soon something is there: `homespun --help` as a whole process, and the window in a real terminal."""

from __future__ import annotations

import compileall
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from tests.benchmarks.timing import rounds, seconds, table

ROOT = Path(__file__).parents[2]
OUTLINE, WINDOW = "opening …", "New line"  # the first words of the one, and those at the end of the other
# What Textual alone takes: a list, a text, a prompt and a footer.
BARE = """
from textual.app import App
from textual.widgets import Footer, OptionList, Static, TextArea

class Bare(App):
    BINDINGS = [("f1", "help", "New line")]

    def compose(self):
        yield OptionList("one")
        yield Static("two")
        yield TextArea()
        yield Footer()

Bare().run()
"""


def _run(*command: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HOMESPUN_DATA_DIR": folder}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def painted(words: str, *command: str, size: tuple[int, int] = (120, 40)) -> float:
    """Seconds from the start of a process until `words` have come out of it, in a terminal and with an empty home."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HOMESPUN_DATA_DIR": folder, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        try:
            seen = b""
            while words.encode() not in seen:
                seen += os.read(master, 65536)
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()
            os.close(master)


def compiled() -> None:
    """Bytecode beside the source, as pip leaves it: Python may be told to write none."""
    for package in ("assistant", "engine", "training"):
        compileall.compile_dir(ROOT / package, quiet=2)


def first_paint(words: str = WINDOW) -> float:
    """Seconds from the command to the whole window, or to other words of it."""
    return painted(words, sys.executable, "-m", "assistant.start")


def main() -> None:
    compiled()
    python = sys.executable
    results = rounds(
        {
            "homespun --help": lambda: seconds(lambda: _run(python, "-m", "assistant.start", "--help")),
            "python -c pass": lambda: seconds(lambda: _run(python, "-c", "pass")),
            "python -c 'import transformers'": lambda: seconds(lambda: _run(python, "-c", "import transformers")),
        },
        9,
    )
    table("whole process", "s", results, ours="homespun --help", more_is_better=False)
    results = rounds(
        {
            "homespun, the outline": lambda: first_paint(OUTLINE),
            "homespun, the window": first_paint,
            "Textual alone, four widgets": lambda: painted(WINDOW, python, "-c", BARE),
        },
        9,
    )
    table(
        "from the command to the screen, in a terminal", "s", results, ours="homespun, the window", more_is_better=False
    )
