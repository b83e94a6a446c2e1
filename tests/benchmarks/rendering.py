"""What a reply costs the window: its own CPU, without the engine's, while mixed Markdown comes, in a real terminal."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.assistant.terminal import Terminal
from tests.benchmarks.timing import Measured

SPEED = 60.0  # tokens/s, about what the bundled model decodes at on two cores
STREAMED = int(os.environ.get("BENCH_RENDER_TOKENS", "1500"))
BEFORE = 8500  # tokens that are there already when a long reply is looked at
WORKER = Path(__file__).with_name("streaming_worker.py")
TARGET = 15.0  # % of a core


def cpu_seconds(process: int) -> float:
    """CPU that a process has taken so far, without that of its children. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(before: int) -> float:
    """Of one core, in %, while STREAMED tokens come at SPEED behind `before` tokens that came at once."""
    numbers = {"STREAM_BEFORE": str(before), "STREAM_TOKENS": str(STREAMED), "STREAM_SPEED": str(SPEED)}
    with tempfile.TemporaryDirectory() as folder:
        worker = (sys.executable, "-P", str(WORKER))
        with Terminal(Path(folder), size=(120, 40), worker=worker, **numbers) as terminal:
            terminal.begin()
            terminal.shows("a stream")  # the model is there
            time.sleep(2)
            terminal.type("go\r")
            terminal.shows("heading")
            time.sleep(2 if before else 0)
            cpu, wall = cpu_seconds(terminal.process.pid), time.perf_counter()
            time.sleep(STREAMED / SPEED - 4)
            cpu, wall = cpu_seconds(terminal.process.pid) - cpu, time.perf_counter() - wall
            terminal.shows("tok/s")
    return 100 * cpu / wall


def main() -> None:
    if not Path("/proc/self/stat").exists():
        print("\nCPU of the window while a reply streams in: measured on Linux only")
        return
    print(f"\nCPU of the window while a reply streams in at {SPEED:.0f} tokens/s, of one core")
    for name, before in ((f"{STREAMED:,} tokens", 0), (f"{STREAMED:,} more after {BEFORE:,}", BEFORE)):
        measured = Measured([share(before)])
        print(f"  {name:44s} {measured.show('%')}   target {TARGET:g}: ", end="")
        print("met" if measured.median < TARGET else "MISSED", flush=True)


if __name__ == "__main__":
    main()
