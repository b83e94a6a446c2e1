"""What a run takes on the disk, and what of it can go when it is done; its model, numbers and data stay."""

from __future__ import annotations

import shutil
from pathlib import Path

from assistant.errors import LearningError
from assistant.learning.runs import Run

HEAVY = ("checkpoint.pt", "checkpoint", "adapter", "model", "base")  # of a stage: what a run that is done needs no more
REBUILT = ("shards", "documents", "preparing", "data_report.json", "prepared.json")


def size_of(run: Run) -> int:
    """Bytes of its folder."""
    return sum(p.stat().st_size for p in run.folder.rglob("*") if p.is_file() and not p.is_symlink())


def prune(run: Run) -> int:
    """Delete what a run that is done needs no more. Returns the bytes it took.

    Raises:
        LearningError: it is not done.
    """
    if run.state != "done":
        raise LearningError(f"{run.wish.name} is not done; what it has is needed to go on.")
    before = size_of(run)
    made = Path(str(run.result.get("model", ""))).resolve()
    heavy = (run.folder / stage / name for stage in run.stages for name in HEAVY)
    for path in (*heavy, *(run.folder / name for name in REBUILT)):
        if path.resolve() != made:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return before - size_of(run)
