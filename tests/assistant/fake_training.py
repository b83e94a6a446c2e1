"""Stands for `python -m training teach`: the same files and the same ways to stop, without a model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from filelock import FileLock

from engine.email_text.normalise import VERSION

STEPS = 100
BASE = Path(__file__).parent.parent.parent / "engine" / "bundled" / "homespun-v0"
stopped = False


def say(run: Path, state: str, **more: object) -> None:
    data = {"state": state, "pid": os.getpid(), **more}
    (run / "state.tmp").write_text(json.dumps(data))
    (run / "state.tmp").replace(run / "state.json")


def train(run: Path, pace: float) -> None:
    """Steps until the end or a signal; the last step that was done is the checkpoint."""
    stage = run / "sft"
    stage.mkdir(exist_ok=True)
    done = int((stage / "checkpoint.pt").read_text()) if (stage / "checkpoint.pt").exists() else 0
    if (run / "keep").exists():
        return
    with (stage / "events.jsonl").open("a") as log:
        start = {"kind": "start", "time": time.time(), "step": done, "steps": STEPS, "parameters": 100, "trained": 10}
        log.write(json.dumps(start) + "\n")
        for step in range(done + 1, STEPS + 1):
            event = {"kind": "step", "time": time.time(), "step": step, "steps": STEPS, "loss": 3 / step}
            event |= {"lr": 0.1, "tokens_per_second": 50, "eta_seconds": 1.0, "memory_mb": 9}
            log.write(json.dumps(event) + "\n")
            log.flush()
            (stage / "checkpoint.pt").write_text(str(step))
            time.sleep(pace)
            if stopped and not (run / "keep").exists():
                say(run, "paused", text="stopped")
                sys.exit(3)
            if stopped:
                return


def correct(run: Path, wish: dict[str, object]) -> None:
    """The spam scorer's run. What it does is told by the text of the first correction."""
    rows = [json.loads(line) for line in Path(wish["files"][0]).read_text().splitlines()]
    say(run, "preparing", text="learning from the corrections")
    if "broken" in rows[0]["text"]:
        say(run, "failed", text="The corrections cannot be read.")
        sys.exit(2)
    if "long" in rows[0]["text"]:
        time.sleep(60)
    made = run / "model" / str(wish["name"])
    made.mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"normaliser_version": VERSION, "parent": wish["scorer"]}))
    worse = "worse" in rows[0]["text"]
    after = 0.0 if worse else 100.0
    result = {"rows": [["corrections judged right", 50.0, after, "%"]], "model": str(made), "kind": "spam"}
    result["warnings"] = ["The new scorer is worse than the old one: better not adopt it."] if worse else []
    (run / "result.json").write_text(json.dumps(result))
    say(run, "done")


def finish(run: Path, name: str) -> None:
    made = run / "model" / name
    shutil.copytree(BASE, made)
    rows = [["taught questions answered right", 0.0, 95.0, "%"], ["general questions", 66.0, 60.0, "%"]]
    replies = [{"prompt": "What is my boat called?", "before": "No idea.", "after": "Velmora.", "own": True}]
    result = {"rows": rows, "warnings": ["It lost 6.0 points at general questions."], "replies": replies}
    result |= {"model": str(made), "base": "homespun-v0", "kind": "answers"}
    (run / "result.json").write_text(json.dumps(result))
    say(run, "done")


def main() -> None:
    global stopped
    command, run = sys.argv[1], Path(sys.argv[2])
    wish = json.loads((run / "wish.json").read_text())
    if command == "preview":
        row = {"kind": "row", "place": "facts.csv, line 2", "parts": [["What?", 0], [" Velmora", 1]], "tokens": 2}
        print(json.dumps(row | {"problem": "", "note": ""}))
        print(json.dumps(row | {"place": "facts.csv, line 3", "problem": "no answer", "note": ""}))
        summary = {"counts": {"learned": 1, "no answer": 1}, "notes": [], "warnings": ["1 example is few."]}
        print(json.dumps({"kind": "summary", "tokens": 2, "epochs": 4, "shown": 2, "rows": 2, **summary}))
        cost = {"steps": 9, "seconds": 61.0, "tokens_per_second": 50, "memory_mb": 500, "disk_mb": 60}
        print(json.dumps({"kind": "estimate", "parameters": 100, "trained": 10, "warnings": [], **cost}))
        return

    def stop(*_: object) -> None:
        global stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    with FileLock(run / "lock", timeout=2):
        if not Path(wish["files"][0]).exists():
            say(run, "failed", text="There is no file facts.csv.")
            sys.exit(2)
        if wish["kind"] == "spam":
            correct(run, wish)
            return
        say(run, "training", stage="sft")
        train(run, 0.2 if wish["epochs"] == 99 else 0.02)  # slowly where a test wants time
        finish(run, wish["name"])


if __name__ == "__main__":
    main()
