"""The window with a lot in it: 100,000 messages in 5,000 chats, and one chat of 2,000 messages.

How soon it opens, finds and switches, and what memory it takes; each in fresh processes, against the targets.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.benchmarks.startup import OUTLINE, WINDOW, compiled, first_paint
from tests.benchmarks.timing import Measured

CHATS, MESSAGES, LONG = 5_000, 100_000, 2_000
ROUNDS = int(os.environ.get("BENCH_APP_ROUNDS", "5"))
COMMON = [
    *("the", "rain", "and", "a", "garden", "with", "some", "small", "stones", "near", "an", "old", "house", "where"),
    *("people", "talk", "about", "their", "day"),
]
CJK = ["我们今天去北京看长城", "昨天下雨了", "学习中文很有意思"]
QUERIES = {
    "a rare word": "zanzibar",
    "a common word": "rain",
    "two words": "small stones",
    "a beginning": "gard",
    "one letter": "t",
    "don't": "don't",
    "Chinese, two signs": "北京",
    "in the middle of words": "anziba",
    "nothing": "qqqxyzzy",
}
MEASURE = """
import asyncio, gc, json, os, random, resource, sys, time
from pathlib import Path
from assistant.app import HomespunApp
from assistant.screens.chat.base import ChatBase

async def main():
    found = {}
    gc.freeze()  # as the command does
    began = time.perf_counter()
    app = HomespunApp(data_dir=Path(sys.argv[1]), command=[sys.executable, "-P", sys.argv[2]])
    async with app.run_test(size=(120, 40)) as pilot:
        found["open"] = time.perf_counter() - began
        await pilot.pause(0.5)
        screen = next(s for s in app.screen_stack if isinstance(s, ChatBase))
        for name, text in json.loads(sys.argv[3]).items():
            began = time.perf_counter()
            app.store.search(text)
            found["search: " + name] = time.perf_counter() - began

        async def switch(chat):
            # seconds until the first frame with the chat, and until nothing more happens
            began, drawn = time.perf_counter(), asyncio.Event()
            await screen.open_chat(chat)
            screen.call_after_refresh(drawn.set)
            await drawn.wait()
            seen = time.perf_counter() - began
            await pilot.pause()
            return seen, time.perf_counter() - began

        chats = [chat.id for chat in app.store.chats()]
        times, still = zip(*[await switch(chat) for chat in random.Random(1).sample(chats, 12)])
        found["switch, seen"] = sorted(times)[len(times) // 2]
        found["switch, seen, slowest"] = max(times)
        found["switch, at rest"] = sorted(still)[len(still) // 2]
        found["switch to 2,000 messages, seen"], _ = await switch(int(sys.argv[4]))
        cpu = time.process_time()
        await pilot.pause(3)
        found["idle"] = (time.process_time() - cpu) / 3
        status = Path("/proc/self/status")  # the peak of getrusage may be that of the process that started this one
        if status.exists():
            found["memory"] = int(status.read_text().partition("VmRSS:")[2].split()[0]) / 2**10
        else:
            found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found))

asyncio.run(main())
"""
TARGETS = {"open": 0.3, "switch, seen": 0.1, "switch to 2,000 messages, seen": 0.1, "memory": 120.0}


def fill(path: Path) -> int:
    """A database of the promised size at `path`. Returns the long chat's id."""
    from assistant.storage.store import Store

    Store(path).close()
    luck = random.Random(1)
    with closing(sqlite3.connect(path)) as db:
        for chat in range(1, CHATS + 1):
            day = f"20{luck.randrange(20, 27)}-{luck.randrange(1, 13):02d}-{luck.randrange(1, 29):02d}T12:00:00+00:00"
            title = " ".join(luck.choices(COMMON, k=5))
            db.execute(
                "INSERT INTO chats (id, title, model, created, updated) VALUES (?, ?, 'm', ?, ?)",
                (chat, title, day, day),
            )
        counts = [LONG] + [(MESSAGES - LONG) // (CHATS - 1)] * (CHATS - 1)
        number = 0
        for chat, count in enumerate(counts, 1):
            parent = None
            for index in range(count):
                number += 1
                role = "assistant" if index % 2 else "user"
                db.execute(
                    "INSERT INTO messages (id, chat, parent, role, content, status, created) "
                    "VALUES (?, ?, ?, ?, ?, 'complete', '2026-01-01T00:00:00+00:00')",
                    (number, chat, parent, role, _text(luck, number)),
                )
                parent = number
            db.execute("UPDATE chats SET leaf = ? WHERE id = ?", (parent, chat))
        db.commit()
    return 1


def _text(luck: random.Random, number: int) -> str:
    words = luck.choices(COMMON, k=luck.randrange(10, 70))
    words += [f"word{luck.randrange(20_000)}" for _ in range(5)]
    words += ["zanzibar"] * (number % 9973 == 0) + ["don't"] * (number % 50 == 0) + CJK * (number % 20 == 0)
    luck.shuffle(words)
    return " ".join(words) + "."


def main() -> None:
    compiled()
    for name, words in (("first paint, outline", OUTLINE), ("first paint, whole window", WINDOW)):
        paint = Measured([first_paint(words) for _ in range(ROUNDS + 1)][1:])
        _line(f"{name}, from the command on", paint, 0.5, "s")
    with tempfile.TemporaryDirectory() as folder:
        long = fill(Path(folder, "chats.db"))
        size = os.path.getsize(Path(folder, "chats.db")) / 2**20
        print(f"\nthe window with {MESSAGES:,} messages in {CHATS:,} chats ({size:.0f} MB)")
        worker = str(Path(__file__).with_name("streaming_worker.py"))
        command = [sys.executable, "-c", MEASURE, folder, worker, json.dumps(QUERIES), str(long)]
        runs = [json.loads(_run(command)) for _ in range(ROUNDS + 1)][1:]
    for name in runs[0]:
        unit = {"memory": "MB", "idle": "of a core"}.get(name, "s")
        target = 0.05 if name.startswith("search") else TARGETS.get(name)
        _line(name, Measured([run[name] for run in runs]), target, unit)


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]


def _line(name: str, measured: Measured, target: float | None, unit: str) -> None:
    verdict = "" if target is None else f"   target {target:g}: " + ("met" if measured.median < target else "MISSED")
    print(f"  {name:44s} {measured.show(unit)}{verdict}", flush=True)


if __name__ == "__main__":
    main()
