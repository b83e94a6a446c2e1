"""kill -9 at random moments, hundreds of times: the real window and its engine, in a real terminal (KILLS=300)."""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path

from tests.assistant.killing import Toll, kill_engines, kill_window

FRESH = 10  # kills of one database's windows before a new one, so that first starts are hit, too


def main() -> None:
    count, seed = int(os.environ.get("KILLS", "300")), int(os.environ.get("KILLS_SEED", "1"))
    luck, toll, began = random.Random(seed), Toll(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count * 2 // 3):
            kill_window(Path(folder, str(number // FRESH)), luck, f"k{number}", toll)
        print(f"\nkill -9 (seed {seed}), {time.monotonic() - began:.0f} s")
        print(
            f"  windows: {toll.kills} kills, {toll.in_replies} of them in mid-reply; {toll.words} words owed, ", end=""
        )
        print(f"{len(toll.lost)} lost; {len(toll.damage)} databases damaged", flush=True)
        engines = Toll()
        while engines.kills < count // 3:
            before = engines.kills
            some = min(5, count // 3 - before)  # in one chat, before the fake model's context is full
            kill_engines(Path(folder, f"e{before}"), luck, engines, some)
    print(f"  engines: {engines.kills} kills; {len(engines.lost)} questions lost; {len(engines.damage)} damaged")
    for problem in (*toll.lost, *toll.damage, *engines.lost, *engines.damage):
        print(f"  ! {problem}")


if __name__ == "__main__":
    main()
