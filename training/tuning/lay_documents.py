"""Documents, and raw text for a model of its own: the run's own copy of the files, in UTF-8; the lab prepares them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from training.data.documents import SEPARATOR, cut
from training.data.prepare import documents_path
from training.data.vocabulary import Vocabulary
from training.errors import TrainingError
from training.recipe_wish import Wish
from training.tuning.layout import HELD_OUT, Laid, Row, replayed, shown
from training.tuning.reading import LARGEST, read_text
from training.tuning.recipes import REPLAY, Amounts, epochs_of, passage_size

KINDS = (".txt", ".md", ".markdown", ".html", ".htm", ".jsonl", ".json")
PACKED = (".gz", ".bz2", ".xz")
SMALLEST = 400  # characters that a text must have to teach anything
LEAST_FROM_NOTHING = 20_000  # bytes
LARGEST_IN_ALL = 4_000_000_000  # bytes; more is for the lab itself
REPLAY_MOST, REPLAY_SEEN = 400, 2.0  # dialogues that are read again, and times each; 200 once cost four points
PROMPTS = 4


def lay_out(wish: Wish, run: Path, vocabulary: Vocabulary | None) -> Laid:
    """Copies in `run/data/texts`. See `layout.lay_out`.

    Raises:
        TrainingError: nothing readable, too little, or too much for the disk.
    """
    texts = run / "data" / "texts"
    shutil.rmtree(texts, ignore_errors=True)
    texts.mkdir(parents=True)
    laid = Laid(Amounts(0, 0))
    files = _files([Path(name) for name in wish.files], laid)
    size = sum(path.stat().st_size for path in files)
    _check_room(size, run)
    if wish.kind == "scratch" and size < LEAST_FROM_NOTHING:
        raise TrainingError(
            f"There are {size:,} characters of text, and a model of its own needs at least {LEAST_FROM_NOTHING:,}; a "
            "million make one that writes sentences. To teach a text to a model, let it read it as a document."
        )
    patterns: dict[str, None] = {}
    for number, path in enumerate(files):
        patterns[_copy(path, texts / f"{number:05d}", laid, passage_size(size))] = None
    laid.sources = [
        {"name": f"documents{i or ''}", "path": f"texts/*{kind}", "licence": "private", "epochs": epochs_of(wish)}
        for i, kind in enumerate(patterns)
    ]
    if vocabulary is not None:
        if wish.replay:
            again, _ = replayed(wish, vocabulary, REPLAY_MOST)
            lines = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in again)
            (run / "data" / "replay.jsonl").write_text(lines, encoding="utf-8")
            row = {"name": "replay", "path": "replay.jsonl", "licence": "Apache-2.0", "epochs": REPLAY_SEEN}
            laid.sources.append(row)
    elif wish.chats:
        shutil.copy(REPLAY, run / "data" / "dialogues.jsonl")
        row = {
            "name": "dialogues",
            "path": "dialogues.jsonl",
            "licence": "Apache-2.0",
            "epochs": 2.0,
            "sft_epochs": 4.0,
        }
        laid.sources.append(row)
    laid.amounts = Amounts(len(files), len(files), characters=size)
    return laid


def _files(paths: list[Path], laid: Laid) -> list[Path]:
    """The readable files that `paths` name, folders with all below them; what is passed over is noted."""
    found: list[Path] = []
    passed: dict[str, int] = {}
    for path in paths:
        if not os.path.exists(path):
            raise TrainingError(f"There is no file or folder {path}.")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if not file.is_file() or any(part.startswith(".") for part in file.relative_to(path).parts):
                continue
            if _kind(file) in KINDS and file.stat().st_size:
                found.append(file)
            else:
                passed[file.suffix or "no ending"] = passed.get(file.suffix or "no ending", 0) + 1
    if passed:
        laid.notes.append(
            "Passed over: "
            + ", ".join(f"{n} × {kind}" for kind, n in sorted(passed.items()))
            + ", which is no text here."
        )
    if not found:
        raise TrainingError(f"There is no text to read in {', '.join(map(str, paths))}: wanted are {', '.join(KINDS)}.")
    return found


def _kind(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix in PACKED else path.suffix.lower()


def _copy(path: Path, target: Path, laid: Laid, size: int) -> str:
    """`path` in UTF-8 as `target` with its ending, which is returned; large and packed ones as they are."""
    kind = _kind(path).replace(".markdown", ".md")
    ending = kind + (path.suffix if path.suffix in PACKED else "")
    target = target.with_name(target.name + ending)
    if path.suffix in PACKED or path.stat().st_size > LARGEST:
        shutil.copy(path, target)
    else:
        text = read_text(path)
        laid.notes += text.notes
        if kind not in (".txt", ".md"):
            target.write_text(text.text, encoding="utf-8")
            return ending
        ending = ".txt"
        parts = passages(text.text, size)
        target.with_suffix(ending).write_text(f"\n{SEPARATOR}\n".join(parts) + "\n", encoding="utf-8")
    return ending


def passages(text: str, size: int) -> list[str]:
    """`text` in passages of about `size` characters, cut between paragraphs, or sentences of a long one; each is
    learned or held out as one."""
    paragraphs: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace(SEPARATOR, "\n\n")):
        sentences = [paragraph] if len(paragraph) <= 2 * size else re.split(r"(?<=[.!?])\s+", paragraph)
        line = ""
        for sentence in sentences:
            if line and len(line) + len(sentence) > size:
                paragraphs.append(line)
                line = ""
            line = f"{line} {sentence}" if line else sentence
        paragraphs.append(line)
    whole = {"text": "\n\n".join(p.strip() for p in paragraphs if p.strip())}
    return [piece["text"] for piece in cut(whole, size)]


def hold_some_out(run: Path) -> None:
    """Of a text so small that chance held nothing out: every fifth passage, if there are five."""
    train, valid = (documents_path(run, split, "documents") for split in ("train", "valid"))
    if not train.is_file() or valid.stat().st_size:
        return
    lines = train.read_text(encoding="utf-8").splitlines(keepends=True)
    if len(lines) >= 5:
        valid.write_text("".join(lines[2::5]), encoding="utf-8")
        train.write_text("".join(line for i, line in enumerate(lines) if i % 5 != 2), encoding="utf-8")


def _check_room(size: int, run: Path) -> None:
    free = shutil.disk_usage(run).free
    if size > LARGEST_IN_ALL:
        raise TrainingError(
            f"These are {size / 1e9:.1f} GB of text, more than a run from the menu takes. "
            "Take a part of it, or use the lab itself: python -m training all RECIPE."
        )
    if 4 * size > free:  # the copy, the documents, their tokens and what is made in between
        raise TrainingError(
            f"{size / 1e6:,.0f} MB of text need about {4 * size / 1e6:,.0f} MB on disk; {free / 1e6:,.0f} MB are free."
        )


def rows_of(run: Path, report: dict[str, Any], vocabulary: Vocabulary | None, most: int) -> list[Row]:
    """Passages as they were prepared, held-out ones marked; then, by reason, examples of what was dropped.

    Raises:
        TrainingError: too little is left to learn from.
    """
    rows: list[Row] = []
    characters = 0
    for name, row in report.items():
        if not name.startswith("documents"):
            continue
        characters += row["characters"]
        for split in ("train", "valid"):
            with documents_path(run, split, name).open(encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    if len(rows) < most:
                        rows.append(_row(f"passage {number}", json.loads(line), vocabulary, split))
        for reason, count in row["dropped"].items():
            for text in (row["examples"].get(reason) or [""])[:3]:
                rows.append(Row(f"{count} × dropped", [(text, 0)], problem=reason.replace("_", " ")))
    if characters < SMALLEST:
        raise TrainingError(f"There are {characters} characters of text, and at least {SMALLEST} are needed.")
    return rows


def _row(place: str, document: dict[str, Any], vocabulary: Vocabulary | None, split: str) -> Row:
    note = HELD_OUT if split == "valid" else ""
    text = document.get("text") or "\n".join(m["content"] for m in document.get("messages", []))
    if vocabulary is None:
        return Row(place, [(text, int(split == "train"))], note=note)
    ids = vocabulary.tokenizer.encode(text)
    return Row(place, shown(vocabulary, ids, [int(split == "train")] * len(ids)), len(ids), note=note)
