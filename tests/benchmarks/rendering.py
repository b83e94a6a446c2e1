"""What a reply costs the window: CPU of the app's process per token while a long reply of mixed Markdown streams in."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.timing import Measured, table

SPEED = 60.0  # tokens/s, about what the bundled model decodes at on two cores
WORKER = Path(__file__).with_name("streaming_worker.py")


async def _measure(tokens: int, size: tuple[int, int]) -> tuple[float, float]:
    """CPU seconds per token of this process, and their share of one core, while `tokens` come at SPEED."""
    from assistant.app import HomespunApp
    from assistant.screens.chat.screen import ChatScreen
    from assistant.widgets.prompt import Prompt

    os.environ |= {"STREAM_TOKENS": str(tokens), "STREAM_SPEED": str(SPEED)}
    with tempfile.TemporaryDirectory() as folder:
        app = HomespunApp(data_dir=Path(folder), command=[sys.executable, "-P", str(WORKER)])
        async with app.run_test(size=size) as pilot:
            screen = app.screen
            assert isinstance(screen, ChatScreen)
            screen.query_one(Prompt).fill("go")
            await pilot.press("enter")
            while screen._live is None or not screen._live.text:
                await asyncio.sleep(0.02)
            cpu, wall = time.process_time(), time.perf_counter()
            while screen._live is not None:
                await asyncio.sleep(0.1)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / tokens, cpu / wall


def main() -> None:
    tokens = int(os.environ.get("BENCH_RENDER_TOKENS", "10000"))
    per_token, share = asyncio.run(_measure(tokens, (120, 40)))
    name = f"homespun, {tokens:,} tokens at {SPEED:.0f}/s"
    table("CPU of the window per token", "ms", {name: Measured([per_token * 1000])}, ours=name, more_is_better=False)
    table("share of one core while streaming", "%", {name: Measured([share * 100])}, ours=name, more_is_better=False)


if __name__ == "__main__":
    main()
