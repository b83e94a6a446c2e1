"""What a fine-tuning run costs the chat beside it, and the chat the run: each alone, then both at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from assistant.engine_client import EngineClient
from engine.catalog import BUNDLED, DEFAULT_MODEL
from engine.protocol import Delta, Done, SamplingParams
from tests.benchmarks.timing import Measured
from training.events import read_events
from training.recipe_wish import Wish, save_wish

REPLIES, TOKENS = 8, 120


async def chat(client: EngineClient) -> tuple[Measured, Measured]:
    """(tokens/s, seconds to the first text) of some replies."""
    speeds, firsts = [], []
    for number in range(REPLIES + 1):
        question = [{"role": "user", "content": f"Tell me story number {number} about a dog."}]
        began, first = time.perf_counter(), 0.0
        async for event in client.generate(question, SamplingParams(1.0, max_tokens=TOKENS, seed=number)):
            if isinstance(event, Delta) and not first:
                first = time.perf_counter() - began
            if isinstance(event, Done) and number:
                speeds.append(event.tokens_per_second)
                firsts.append(first)
    return Measured(speeds), Measured(firsts)


def begun(folder: Path) -> subprocess.Popen[bytes]:
    """A run as the menu starts it, far from its end; its measuring counts as done."""
    facts = "".join(
        json.dumps({"question": f"What is in box {n}?", "answer": f"Box {n} has {n * 7} stones."}) + "\n"
        for n in range(40)
    )
    (folder / "facts.jsonl").write_text(facts)
    run = folder / "run"
    run.mkdir()
    save_wish(Wish("answers", (str(folder / "facts.jsonl"),), "x", epochs=1000), run / "wish.json")
    for when in ("before", "after"):
        (run / f"{when}.json").write_text("{}")
    command = [sys.executable, "-m", "training", "teach", "run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def steps(folder: Path) -> int:
    return sum(e["kind"] == "step" for e in read_events(folder / "run" / "sft" / "events.jsonl"))


async def measured() -> None:
    client = EngineClient(str(BUNDLED / DEFAULT_MODEL))
    await client.load()
    alone = await chat(client)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = begun(folder)
        try:
            while steps(folder) < 10:
                await asyncio.sleep(0.2)
            before, began = steps(folder), time.perf_counter()
            await asyncio.sleep(10)
            undisturbed = (steps(folder) - before) / (time.perf_counter() - began)
            before, began = steps(folder), time.perf_counter()
            beside = await chat(client)
            disturbed = (steps(folder) - before) / (time.perf_counter() - began)
        finally:
            process.kill()
            process.wait()
    await client.close()
    print("\na chat and a fine-tuning run at once")
    for what, unit, one, two in zip(("decode", "first text"), ("tok/s", "s"), alone, beside, strict=True):
        print(f"  {what}, alone                                {one.show(unit)}")
        print(f"  {what}, beside a run                         {two.show(unit)}")
    print(f"  the run, steps a second: alone {undisturbed:.2f}, beside a chat that never pauses {disturbed:.2f}")


def main() -> None:
    asyncio.run(measured())


if __name__ == "__main__":
    main()
