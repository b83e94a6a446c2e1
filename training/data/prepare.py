"""The `prepare` stage: sources → cleaned, de-duplicated documents, split into training and held-out sets.

Three passes: chunks are cleaned in several processes (`chunks.py`), duplicates are found over all sources by their
fingerprints (`duplicates.py`), and what stays is written out. Text is never held whole: memory grows by about sixty
bytes a document. A run that was stopped goes on with the chunks that are missing.

The split is by document and by content (a hash decides), so the same text never stands on both sides.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from training.data.chunks import (
    EXAMPLES,
    EXCERPT,
    Chunk,
    chunk_path,
    chunks_of,
    is_done,
    read_array,
    read_notes,
    worker,
)
from training.data.documents import as_text, source_files
from training.data.duplicates import PERMUTATIONS, first_alike, first_equal
from training.data.filters import check_language
from training.data.parallel import cores, ordered_map
from training.events import EventLog
from training.recipe import DataRecipe, RecipeError

SPLITS = ("train", "valid")
WORTH_PROCESSES = 8_000_000  # bytes of files; starting processes for less takes longer than it saves
EVERY = 5.0  # seconds between two events that say how far it is
MIX_ONLY = ("epochs", "sft_epochs", "start", "end", "weight", "what", "url", "licence")  # of a source: read later


def documents_path(run: Path, split: str, source: str) -> Path:
    return run / "documents" / split / f"{source}.jsonl"


def prepare(recipe: DataRecipe, root: Path, run: Path, processes: int = 0) -> dict[str, dict[str, Any]]:
    """Read every source below `root` and write `run/documents/`; returns (and writes) the report, a row a source.

    Done already, for the same recipe and files, it returns the report that is there. `processes`: 0 for all cores.

    Raises:
        RecipeError: a source is not there, damaged or another than the manifest's, or nothing is left of all of them.
    """
    if not recipe.sources:
        raise RecipeError("The recipe's [data] names no sources to prepare.")
    report_path, work = run / "data_report.json", run / "preparing"
    state = state_of(recipe, root)
    if report_path.exists() and _same(run / "prepared.json", state, unknown=True):
        return json.loads(report_path.read_text(encoding="utf-8"))
    if recipe.language:
        check_language(recipe.language)
    if not _same(work / "state.json", state):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        dump(work / "state.json", state)
    size = sum(path.stat().st_size for source in recipe.sources for path in source_files(source, root))
    log = EventLog(run / "events.jsonl")
    chunks = _clean_all(recipe, root, work, log, 1 if size < WORTH_PROCESSES else processes or cores())
    equal, alike = _duplicates([p for paths in chunks.values() for p in paths], recipe.near_duplicates, work)
    report = _write_all(recipe, run, log, chunks, equal, alike)
    nothing_left(report)
    dump(run / "prepared.json", state)
    dump(report_path, report)
    shutil.rmtree(work)
    return report


def nothing_left(report: dict[str, dict[str, Any]]) -> None:
    """Refuse an empty corpus, and say what became of it.

    Raises:
        RecipeError: no source has a document left.
    """
    if any(row["kept"] for row in report.values()):
        return
    dropped: Counter[str] = Counter()
    for row in report.values():
        dropped.update(row["dropped"])
    why = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common(3)) or "the files are empty"
    raise RecipeError(f"Nothing is left of the sources ({why}). Give other files, or milder rules in [data].")


def state_of(recipe: DataRecipe, root: Path) -> dict[str, Any]:
    """What the documents depend on: the recipe without the mix, and the files' sizes."""
    files = {str(p.relative_to(root)): p.stat().st_size for s in recipe.sources for p in sorted(root.glob(s.path))}
    return {"recipe": without_mix(recipe), "files": files}


def without_mix(recipe: DataRecipe) -> dict[str, Any]:
    """`recipe` as JSON has it, without what is only read when tokens are mixed."""
    table = asdict(recipe)
    for key in ("manifest", "tokens_m"):
        del table[key]
    for row in table["sources"]:
        for key in MIX_ONLY:
            del row[key]
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return plain


def _same(path: Path, state: dict[str, Any], unknown: bool = False) -> bool:
    """Whether `path` says the same, `unknown` where it is not there.

    Files that are all gone since then (a run that was moved to another machine) are no change.
    """
    if not path.exists():
        return unknown
    old = json.loads(path.read_text(encoding="utf-8"))
    return old["recipe"] == state["recipe"] and (not state["files"] or old["files"] == state["files"])


def dump(path: Path, data: Any) -> None:
    """Write `data` to `path` as JSON, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def _clean_all(recipe: DataRecipe, root: Path, work: Path, log: EventLog, processes: int) -> dict[str, list[Path]]:
    """Make the chunks that are missing; returns every source's."""
    said = time.monotonic()
    chunks: dict[str, list[Path]] = {source.name: [] for source in recipe.sources}
    with tqdm(desc="prepare", unit="B", unit_scale=True, mininterval=1.0) as bar:

        def missing() -> Iterator[Chunk]:
            nonlocal said
            for source in recipe.sources:
                for chunk in chunks_of(source, root):
                    chunks[source.name].append(chunk_path(work, source.name, chunk.number))
                    bar.update(sum(len(as_text(document)) for document in chunk.documents))
                    if not is_done(work, source.name, chunk.number):
                        yield chunk
                    if time.monotonic() - said > EVERY:
                        said = time.monotonic()
                        log.write("preparing", source=source.name, characters=bar.n)

        for _ in ordered_map(worker(recipe, work), missing(), processes):
            pass
    return chunks


def _duplicates(paths: list[Path], threshold: float, work: Path) -> tuple[np.ndarray, np.ndarray]:
    """(equal, alike), int64 [documents of all chunks]: the document that stays in the place of each, often itself."""
    equal = first_equal(np.concatenate([np.zeros((0, 2), np.uint64), *(read_array(p, "fingerprints") for p in paths)]))
    if not threshold or not len(equal):
        return equal, equal
    similar = np.memmap(work / "signatures.u32", np.uint32, "w+", shape=(len(equal), PERMUTATIONS))
    at, comparable = 0, np.zeros(len(equal), bool)
    for path in paths:
        part = read_array(path, "signatures")
        similar[at : at + len(part)] = part
        comparable[at : at + len(part)] = part.any(axis=1)
        at += len(part)
    among = np.flatnonzero(comparable & (equal == np.arange(len(equal))))
    return equal, first_alike(similar, threshold, among)[equal]


def _write_all(
    recipe: DataRecipe,
    run: Path,
    log: EventLog,
    chunks: dict[str, list[Path]],
    equal: np.ndarray,
    alike: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Write the documents that stay, source after source; the report says what became of all."""
    report: dict[str, dict[str, Any]] = {}
    begin = 0
    for split in SPLITS:
        (run / "documents" / split).mkdir(parents=True, exist_ok=True)
    for name, paths in chunks.items():
        count: Counter[str] = Counter(kept=0, valid=0, characters=0)
        row: dict[str, Any] = {"counts": count, "dropped": Counter(), "examples": {}}
        finals = [documents_path(run, split, name) for split in SPLITS]
        with finals[0].with_suffix(".tmp").open("wb") as train, finals[1].with_suffix(".tmp").open("wb") as valid:
            for path in paths:
                places = np.arange(begin, begin + len(read_array(path, "characters")))
                again = np.where(alike[places] != places, "near_duplicate", "")
                reasons = np.where(equal[places] != places, "duplicate", again)
                _write_chunk(path, reasons, recipe.valid_percent, (train, valid), row)
                begin += len(places)
        for final in finals:
            final.with_suffix(".tmp").replace(final)
        report[name] = {"read": sum(row["dropped"].values()) + count["kept"], **count, **row}
        del report[name]["counts"]
        log.write("prepared", source=name, **{k: v for k, v in report[name].items() if k != "examples"})
        print(f"{name:28s} {prepared_line(report[name])}", flush=True)
    return report


def _write_chunk(
    path: Path, reasons: np.ndarray, valid_percent: float, files: tuple[BinaryIO, BinaryIO], row: dict[str, Any]
) -> None:
    """Copy the lines of the documents that have no reason to be dropped; count and show the others in `row`."""
    notes = read_notes(path)
    row["dropped"].update({k: v for k, v in notes["counts"].items() if k != "read"})
    ends, characters = read_array(path, "ends"), read_array(path, "characters")
    apart = held_out(read_array(path, "fingerprints"), valid_percent)
    lines = path.read_bytes()
    for index, reason in enumerate(reasons.tolist()):
        text = lines[ends[index] : ends[index + 1]]
        if not reason:
            files[int(apart[index])].write(text)
            continue
        row["dropped"][reason] += 1
        if len(notes["examples"].setdefault(reason, [])) < EXAMPLES:
            notes["examples"][reason].append(as_text(json.loads(text.partition(b"\n")[0]))[:EXCERPT])
    for reason, shown in notes["examples"].items():
        row["examples"][reason] = (row["examples"].get(reason, []) + shown)[:EXAMPLES]
    stays = reasons == ""
    row["counts"].update(
        kept=int(stays.sum()), valid=int((stays & apart).sum()), characters=int(characters[stays].sum())
    )


def held_out(fingerprints: np.ndarray, percent: float) -> np.ndarray:
    """bool [n]: which documents the split holds out, by their content alone."""
    numbers = np.ascontiguousarray(fingerprints).view(np.uint8).reshape(-1, 16)[:, :4].copy().view(">u4")[:, 0]
    return numbers % 10_000 < percent * 100


def prepared_line(row: dict[str, Any]) -> str:
    """One source's row of the report, in a line."""
    dropped = "  ".join(f"{reason} {count}" for reason, count in sorted(row["dropped"].items()))
    return f"kept {row['kept']} of {row['read']}  valid {row['valid']}  {dropped}".rstrip()
