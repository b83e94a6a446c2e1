"""The `prepare` stage: sources → cleaned, de-duplicated documents, split into training and held-out sets.

The split is by document and by content (a hash decides), so the same text never stands on both sides.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from training.data.documents import as_text, clean, cut, fingerprint, read_source
from training.events import EventLog
from training.recipe import DataRecipe, Source

SPLITS = ("train", "valid")


def documents_path(run: Path, split: str, source: str) -> Path:
    return run / "documents" / split / f"{source}.jsonl"


def prepare(recipe: DataRecipe, root: Path, run: Path) -> dict[str, dict[str, int]]:
    """Read every source below `root` and write `run/documents/`; returns (and writes) the report, a row a source.

    Raises:
        RecipeError: a source is not there.
    """
    for split in SPLITS:
        (run / "documents" / split).mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()  # over all sources: the first one that has a text keeps it
    log = EventLog(run / "events.jsonl")
    report = {}
    for source in recipe.sources:
        report[source.name] = dict(_prepare_source(source, recipe, root, run, seen))
        log.write("prepared", source=source.name, **report[source.name])
        print(f"{source.name:28s} " + "  ".join(f"{k} {v}" for k, v in report[source.name].items()), flush=True)
    (run / "data_report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _prepare_source(source: Source, recipe: DataRecipe, root: Path, run: Path, seen: set[bytes]) -> Counter[str]:
    count: Counter[str] = Counter(kept=0, valid=0, short=0, broken=0, duplicate=0, characters=0)
    files = {split: documents_path(run, split, source.name).open("w", encoding="utf-8") for split in SPLITS}
    with files["train"], files["valid"]:
        for raw in read_source(source, root):
            document = clean(raw)
            if document is None:
                count["broken"] += 1
                continue
            if len(as_text(document)) < recipe.min_characters:
                count["short"] += 1
                continue
            mark = fingerprint(document)
            if mark in seen:
                count["duplicate"] += 1
                continue
            seen.add(mark)
            split = "valid" if int.from_bytes(mark[:4], "big") % 10_000 < recipe.valid_percent * 100 else "train"
            count["kept"] += 1
            count["valid"] += split == "valid"
            count["characters"] += len(as_text(document))
            for piece in cut(document, recipe.max_characters):
                files[split].write(json.dumps(piece, ensure_ascii=False) + "\n")
    return count
