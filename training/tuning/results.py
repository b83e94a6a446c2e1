"""A run's result: the numbers before and after it, what they mean in a sentence each, and where the model is from."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.events import read_events
from training.recipe_wish import Wish
from training.tuning.deliver import add_to_record

FORGOT_BITS = 1.25  # times the old bits per byte of dialogues that it knew
FORGOT = 3.0  # points of the general checks from which a loss is said aloud


def write_result(
    run: Path, wish: Wish, folder: Path, before: dict[str, Any] | None, after: dict[str, Any] | None, stage: str
) -> dict[str, Any]:
    """Write `run/result.json`, and into the model's training.json where it comes from; returns the result."""
    rows = compared(before or {}, after or {})
    last = last_event(run, stage, "valid")
    if wish.kind == "labels":
        rows += [[name, None, round(100 * last[key], 1), "%"] for name, key in LABELS if key in last]
    elif wish.kind == "feedback" and "accuracy" in last:
        rows.append(["held-out pairs the right way round", None, round(100 * last["accuracy"], 1), "%"])
    result = {
        "kind": wish.kind,
        "model": str(folder),
        "name": wish.name,
        "base": wish.base if wish.kind != "scratch" else "",
        "stage": stage,
        "rows": rows,
        "warnings": warnings(wish, before or {}, after or {}),
        "replies": side_by_side(before or {}, after or {}),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    temporary = run / "result.tmp"
    temporary.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(run / "result.json")
    origin = {"run": run.name, "kind": wish.kind, "method": wish.method, "base": result["base"]}
    add_to_record(folder, {"data_hashes": hashes(run), "origin": {**origin, "numbers": rows}})
    return result


LABELS = (("held-out texts labelled right", "accuracy"), ("mean over labels", "balanced_accuracy"))


def compared(before: dict[str, Any], after: dict[str, Any]) -> list[list[Any]]:
    """Rows [what, before, after, unit]; None where there is no number."""
    rows: list[list[Any]] = []
    for key, name in (("taught", "taught questions answered right"), ("untaught", "held-out questions answered right")):
        if key in after:
            rows.append([name, before.get(key, {}).get("percent"), after[key]["percent"], "%"])
    if "words" in after:
        rows.append(["words of a reply", before.get("words"), after["words"], ""])
    for source, value in after.get("held_out", {}).items():
        what = "dialogues it knew, held out" if source == "replay" else f"{source}, held out"
        rows.append([what, before.get("held_out", {}).get(source), value, "bits per byte"])
    if "general" in after:
        rows.append(["general questions", before.get("general", {}).get("percent"), after["general"]["percent"], "%"])
    return rows


def warnings(wish: Wish, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a person should hear before adopting the model."""
    found = []
    if "general" in before and "general" in after:
        lost = before["general"]["percent"] - after["general"]["percent"]
        if lost > FORGOT:
            advice = (
                "Fewer epochs or a lower learning rate forget less"
                if wish.replay or wish.kind == "feedback"
                else "Keep what it knows (replay) was off; with it, it forgets less"
            )
            found.append(f"It lost {lost:.1f} points at general questions. {advice}.")
    old, new = (numbers.get("held_out", {}).get("replay") for numbers in (before, after))
    if old and new and new > FORGOT_BITS * old:
        more = "" if wish.replay else " Keep what it knows (replay) was off; with it, it forgets less."
        found.append(f"It predicts dialogues that it knew {100 * (new / old - 1):.0f} % worse than before.{more}")
    if "taught" in after and after["taught"]["percent"] < 70:
        found.append(
            f"It knows {after['taught']['percent']:.0f} % of what it was taught. More epochs, or shorter answers, help."
        )
    for source, value in after.get("held_out", {}).items():
        old = before.get("held_out", {}).get(source)
        if source != "replay" and old and value > old:
            found.append(f"It predicts {source} that it has not seen worse than before: it learned by heart.")
    return found


def side_by_side(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    old = {prompt: reply for prompt, reply, _ in before.get("replies", [])}
    return [
        {"prompt": prompt, "before": old.get(prompt, ""), "after": reply, "own": own}
        for prompt, reply, own in after.get("replies", [])
    ]


def last_event(run: Path, stage: str, kind: str) -> dict[str, Any]:
    """The last event of `kind` in the log of `stage`; empty without one."""
    found: dict[str, Any] = {}
    for event in read_events(run / stage / "events.jsonl"):
        if event["kind"] == kind:
            found = event
    return found


def hashes(run: Path) -> dict[str, str]:
    """sha256 of the run's own copy of what it learned from."""
    folders = [run / "data", run / "documents" / "train"]
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
