"""The folder of a retrained scorer, made from a copy of the old one's: whole or not at all.

Owns what is written anew in it: weights, thresholds, memory, record and card. What is in them is `retrain.py`'s.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from engine.run.classifier import HEAD
from engine.spam.stacked_scorer import CLASSICAL, NEURAL, StackedScorer
from training.spam.memory import Memory, write_memory
from training.spam.traces import Scorer, hashed_part


def write_successor(
    scorer: Scorer,
    old: Path,
    out: Path,
    *,
    thresholds: list[list[float]] | None,
    memory: Memory | None,
    record: dict[str, Any],
    sentence: str,
) -> None:
    """Write `scorer` into `out`; what it does not say is as in the folder `old`, or left as it is there where None."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        shutil.copytree(old, temporary, dirs_exist_ok=True)
        stacked = isinstance(scorer, StackedScorer)
        hashed = temporary / CLASSICAL if stacked else temporary
        part = hashed_part(scorer)
        known = {name: torch.from_numpy(array) for name, array in part.known.tensors().items() if len(array)}
        _replace(hashed / "model.safetensors", {"weights": torch.from_numpy(part.weights), **known})
        if isinstance(scorer, StackedScorer):
            _replace(temporary / NEURAL / "model.safetensors", {HEAD: scorer.network.head})
        if memory is not None:
            write_memory(memory, temporary)
        config = json.loads((temporary / "config.json").read_text(encoding="utf-8"))
        if thresholds:
            config["thresholds"] = thresholds
        training = json.loads((temporary / "training.json").read_text(encoding="utf-8"))
        training |= {"name": out.name, "parent": old.name, "retrained": record}
        for name, data in (("config.json", config), ("training.json", training)):
            (temporary / name).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        card = (temporary / "README.md").read_text(encoding="utf-8").rstrip()
        told = f"{card}\n\n## Learned since\n\n{sentence} The numbers above are those of {old.name}.\n"
        (temporary / "README.md").write_text(told, encoding="utf-8")
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(path: Path, new: dict[str, torch.Tensor]) -> None:
    """Put the `new` tensors in the place of those of their names, in these ones' precision, or beside the others."""
    tensors = load_file(path)
    for name, tensor in new.items():
        tensors[name] = tensor.to(tensors.get(name, tensor).dtype).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
