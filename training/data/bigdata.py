"""`prepare` for corpora beyond one machine: the same steps as a datatrove pipeline (extra `bigdata`).

Five jobs, each of many tasks that share nothing but a folder: clean and judge (with the very functions that `prepare`
uses), signatures, buckets, clusters, and writing what stays. The files of the sources are what tasks share out, so a
corpus should be in at least as many files as there are tasks. On one machine:

    python -m training data prepare RECIPE --data FOLDER --run RUN --tasks 64

and then the tokenizer stage goes on from there. With Slurm, each job after the one before it:

    from datatrove.executor.slurm import SlurmPipelineExecutor
    from training.data.bigdata import gather, jobs

    before = None
    for job in jobs(recipe.data, Path("/shared/data"), Path("/shared/run"), tasks=1000):
        before = SlurmPipelineExecutor(
            job.steps, tasks=job.tasks, depends=before, job_name=job.name, logging_dir=str(job.logs),
            partition="cpu", time="10:00:00", mem_per_cpu_gb=4, venv_path="/shared/.venv/bin/activate",
        )
    before.run()  # and when all are done: gather(recipe.data, Path("/shared/run"), Path("/shared/data"))

One thing is other than in `prepare`: datatrove takes documents that agree in one whole band of their signatures for the
same without comparing the rest, and of those it keeps any one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document as Passing
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.utils.word_tokenizers import WordTokenizer

from training.data.chunks import EXAMPLES, EXCERPT
from training.data.cleaning import clean
from training.data.documents import as_text, cut, read_file, read_source, source_files
from training.data.duplicates import (
    FEWEST_WORDS,
    NGRAM,
    PERMUTATIONS,
    band_rows,
    fingerprint,
    mixed_bits,
    ngram_hashes,
    word_hashes,
)
from training.data.filters import reason_to_drop
from training.data.local_tasks import run_tasks
from training.data.prepare import SPLITS, documents_path, dump, held_out, nothing_left, state_of
from training.recipe import DataRecipe, RecipeError

Stream = Iterator[Passing]


@dataclass(frozen=True)
class Job:
    """Steps that `tasks` processes run, wherever they are; `logs` is where datatrove notes which are done."""

    name: str
    steps: list[Any]
    tasks: int
    logs: Path


def jobs(recipe: DataRecipe, root: Path, run: Path, tasks: int) -> list[Job]:
    """The five jobs, in their order.

    Raises:
        RecipeError: a source cannot be shared out.
    """
    work = _work(recipe, root, run)
    files = _files(recipe, root)
    tasks = max(min(tasks, len(files)), 1)
    rows = band_rows(recipe.near_duplicates or 1.0)
    config = MinhashConfig(n_grams=NGRAM, num_buckets=PERMUTATIONS // rows, hashes_per_bucket=rows)
    signed, pairs, removed = (str(work / name) for name in ("signatures", "pairs", "removed"))
    again = MinhashDedupFilter(removed)
    steps: list[tuple[str, list[Any], int]] = [
        ("clean", [Sources(recipe, root, files), Judge(recipe, work / "kept")], tasks),
        ("signatures", [Kept(work / "kept"), Signatures(signed, config, bool(recipe.near_duplicates))], tasks),
        ("buckets", [MinhashDedupBuckets(signed, pairs, config=config)], config.num_buckets),
        ("clusters", [MinhashDedupCluster(pairs, removed, config=config)], 1),
        ("write", [Kept(work / "kept"), again, Written(recipe, work / "written")], tasks),
    ]
    return [Job(name, parts, count, work / "logs" / name) for name, parts, count in steps]


def run_here(recipe: DataRecipe, root: Path, run: Path, tasks: int, workers: int) -> dict[str, dict[str, Any]]:
    """All jobs on this machine, `workers` tasks at a time, and the report; what is done already is not done again."""
    for job in jobs(recipe, root, run, tasks):
        run_tasks(job.name, job.steps, job.tasks, workers, job.logs)
    return gather(recipe, run, root)


def gather(recipe: DataRecipe, run: Path, root: Path) -> dict[str, dict[str, Any]]:
    """Put what the tasks wrote together into `run/documents/`; returns and writes `prepare`'s report.

    Raises:
        RecipeError: nothing is left.
    """
    work = _work(recipe, root, run)
    report: dict[str, dict[str, Any]] = {}
    notes = [json.loads(path.read_text()) for path in sorted((work / "kept").glob("*.json"))]
    for source in recipe.sources:
        rows = [note[source.name] for note in notes if source.name in note]
        row: dict[str, Any] = {"read": sum(r["read"] for r in rows), "kept": 0, "valid": 0, "characters": 0}
        dropped: Counter[str] = Counter()
        examples: dict[str, list[str]] = {}
        for part in rows:
            dropped.update(part["dropped"])
            for reason, shown in part["examples"].items():
                examples[reason] = (examples.get(reason, []) + shown)[:EXAMPLES]
        for path in sorted((work / "written").glob(f"*/{source.name}.json")):
            for key, value in json.loads(path.read_text()).items():
                row[key] += value
        if again := row["read"] - row["kept"] - sum(dropped.values()):
            dropped["near_duplicate" if recipe.near_duplicates else "duplicate"] = again
        report[source.name] = {**row, "dropped": dict(dropped), "examples": examples}
        for split in SPLITS:
            _concatenate(sorted((work / "written").glob(f"*/{split}/{source.name}.jsonl")), run, split, source.name)
    nothing_left(report)
    dump(run / "prepared.json", state_of(recipe, root))
    dump(run / "data_report.json", report)
    return report


def _concatenate(parts: list[Path], run: Path, split: str, name: str) -> None:
    target = documents_path(run, split, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".tmp").open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
    target.with_suffix(".tmp").replace(target)


def _work(recipe: DataRecipe, root: Path, run: Path) -> Path:
    """The folder of this recipe and these files: others do not take its finished tasks for theirs."""
    state = json.dumps(state_of(recipe, root), sort_keys=True)
    return run / f"bigdata-{hashlib.sha256(state.encode()).hexdigest()[:12]}"


def _files(recipe: DataRecipe, root: Path) -> list[tuple[int, Path]]:
    """(source's place in the recipe, file), all of them."""
    files = []
    for place, source in enumerate(recipe.sources):
        paths = source_files(source, root)
        if len(paths) > 1 and (source.limit_mb or source.sha256):
            raise RecipeError(
                f"Source {source.name} is of {len(paths)} files, which different tasks read: "
                "limit_mb and sha256 are for a source of one file."
            )
        files += [(place, path) for path in paths]
    return files


class Sources(PipelineStep):
    """Raw documents of this task's share of the files."""

    type, name = "📖 - READER", "Sources"

    def __init__(self, recipe: DataRecipe, root: Path, files: list[tuple[int, Path]]) -> None:
        super().__init__()
        self.recipe, self.root, self.files = recipe, root, files

    def run(self, data: Stream | None = None, rank: int = 0, world_size: int = 1) -> Stream:
        alone = Counter(place for place, _ in self.files)
        for place, path in self.files[rank::world_size]:
            source = self.recipe.sources[place]
            whole = alone[place] == 1
            documents = read_source(source, self.root) if whole else read_file(path, source.encoding, hashlib.sha256())
            for number, raw in enumerate(documents):
                self.stat_update("total")
                yield _passing(source.name, raw, f"{path.name}/{number}")


def _passing(source: str, document: dict[str, Any], name: str) -> Passing:
    return Passing(text=as_text(document), id=name, metadata={"source": source, "document": document})


class Judge(PipelineStep):
    """Cleans and judges as `prepare` does, and writes what is kept to this task's file, with a note on the rest."""

    type, name = "🔻 - FILTER", "Clean and judge"

    def __init__(self, recipe: DataRecipe, folder: Path) -> None:
        super().__init__()
        self.recipe, self.folder = recipe, folder

    def run(self, data: Stream, rank: int = 0, world_size: int = 1) -> Stream:
        self.folder.mkdir(parents=True, exist_ok=True)
        notes: dict[str, dict[str, Any]] = {}
        with (self.folder / f"{rank:05d}.jsonl").open("w", encoding="utf-8", errors="replace") as file:
            for passing in data:
                source, raw = passing.metadata["source"], passing.metadata["document"]
                note = notes.setdefault(source, {"read": 0, "dropped": Counter(), "examples": {}})
                note["read"] += 1
                document = clean(raw, self.recipe)
                reason = "broken" if document is None else reason_to_drop(document, self.recipe)
                if document is None or reason:
                    self.stat_update("dropped", f"dropped_{reason}")
                    note["dropped"][reason] += 1
                    if len(shown := note["examples"].setdefault(reason, [])) < EXAMPLES:
                        shown.append(as_text(document or raw)[:EXCERPT])
                    continue
                self.stat_update("forwarded")
                file.write(json.dumps({"source": source, "document": document}, ensure_ascii=False) + "\n")
                yield _passing(source, document, passing.id)
        (self.folder / f"{rank:05d}.json").write_text(json.dumps(notes), encoding="utf-8")


class Kept(PipelineStep):
    """What `Judge` kept in the task of the same number."""

    type, name = "📖 - READER", "Kept"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Stream | None = None, rank: int = 0, world_size: int = 1) -> Stream:
        with (self.folder / f"{rank:05d}.jsonl").open(encoding="utf-8") as file:
            for number, line in enumerate(file):
                row = json.loads(line)
                yield _passing(row["source"], row["document"], str(number))


class _NoWords(WordTokenizer):
    """datatrove wants a tokenizer of words; ours works on bytes, and this one is never asked."""

    def word_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    sent_tokenize = span_tokenize = word_tokenize


class Signatures(MinhashDedupSignature):
    """datatrove's signatures of our shingles; a text of few words is one shingle, its fingerprint."""

    def __init__(self, folder: str, config: MinhashConfig, near: bool) -> None:
        super().__init__(folder, config, _NoWords())
        self.near = near

    def get_shingles(self, text: str) -> np.ndarray:
        words, _ = word_hashes([text.encode("utf-8", "replace") + b" "])
        if self.near and len(words) >= FEWEST_WORDS:
            return mixed_bits(ngram_hashes(words)).reshape(-1, 1)
        return np.frombuffer(fingerprint({"text": text}), np.uint64)[:1].reshape(-1, 1)


class Written(PipelineStep):
    """Writes what stays, cut and split, to files of this task, and counts it."""

    type, name = "💽 - WRITER", "Written"

    def __init__(self, recipe: DataRecipe, folder: Path) -> None:
        super().__init__()
        self.recipe, self.folder = recipe, folder

    def run(self, data: Stream, rank: int = 0, world_size: int = 1) -> Stream:
        folder, files = self.folder / f"{rank:05d}", {}
        counts: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            (folder / split).mkdir(parents=True, exist_ok=True)
            for source in self.recipe.sources:
                files[split, source.name] = (folder / split / f"{source.name}.jsonl").open("w", encoding="utf-8")
        for passing in data:
            source, document = passing.metadata["source"], passing.metadata["document"]
            mark = np.frombuffer(fingerprint(document), np.uint64).reshape(1, 2)
            out = bool(held_out(mark, self.recipe.valid_percent)[0])
            count = counts.setdefault(source, {"kept": 0, "valid": 0, "characters": 0})
            count["kept"] += 1
            count["valid"] += int(out)
            count["characters"] += len(as_text(document))
            for piece in cut(document, self.recipe.max_characters):
                files[SPLITS[out], source].write(json.dumps(piece, ensure_ascii=False) + "\n")
            yield passing
        for file in files.values():
            file.close()
        for name, count in counts.items():
            (folder / f"{name}.json").write_text(json.dumps(count), encoding="utf-8")
