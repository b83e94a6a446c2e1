"""How soon something is there: `homespun --help` as a whole process, and the TUI's first paint."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tests.benchmarks.timing import Measured, rounds, seconds, table

# From before the app's first import to the moment the first frame has been drawn, the interpreter's start left out.
FIRST_PAINT = """
import time
began = time.perf_counter()
import asyncio
from assistant.app import HomespunApp

async def main():
    app = HomespunApp()
    async with app.run_test(size=(120, 40)) as pilot:
        print(time.perf_counter() - began)
        app.exit()

asyncio.run(main())
"""


def _run(*command: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"HOMESPUN_DATA_DIR": folder}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return done.stdout


def first_paint() -> float:
    """Seconds, in a fresh process, with an empty data folder."""
    return float(_run(sys.executable, "-c", FIRST_PAINT).splitlines()[0])


def main() -> None:
    python = sys.executable
    results = rounds(
        {
            "homespun --help": lambda: seconds(lambda: _run(python, "-m", "assistant.cli", "--help")),
            "python -c pass": lambda: seconds(lambda: _run(python, "-c", "pass")),
            "python -c 'import transformers'": lambda: seconds(lambda: _run(python, "-c", "import transformers")),
        },
        9,
    )
    table("whole process", "s", results, ours="homespun --help", more_is_better=False)
    paint = Measured([first_paint() for _ in range(8)][1:])
    table("first paint of the TUI (in-process)", "s", {"homespun": paint}, ours="homespun", more_is_better=False)
