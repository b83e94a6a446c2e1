"""`homespun classify`: texts from files, folders or a pipe → labels on standard output; making classifiers.

Owns what is printed and the exit status. How a text gets its label is `verdicts/labelling.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.engine_client import EngineClient
from assistant.errors import UsageError
from assistant.models.shelf import Shelf
from assistant.paths import Paths
from assistant.text import printable
from assistant.verdicts.examples import labels_of, read_examples, read_labels
from assistant.verdicts.fine_tuning import FineTuning
from assistant.verdicts.label_sets import LabelSet, LabelSets
from assistant.verdicts.labelling import Labelled, Labeller, readable
from assistant.verdicts.settings import per_cent
from assistant.waiting import beside, standard_input
from engine.catalog import ModelInfo
from engine.email_text.normalise import EmailText, normalise
from engine.email_text.sources import Item, read_all

BATCH = 32  # texts that are asked about at once


@dataclass(frozen=True)
class ClassifyWishes:
    """The options of the command."""

    names: tuple[str, ...]
    classifier: str = ""  # one that was made here, or a folder
    labels: str = ""  # with commas between them
    examples: Path | None = None
    train: str = ""  # the name under which labels and examples are kept, and fine-tuned where they are enough
    as_json: bool = False
    model: str | None = None
    device: str = "auto"


async def run(wishes: ClassifyWishes, paths: Paths) -> int:
    """Label everything that `wishes` names, print it, and return the exit status: 2 where something cannot be read.

    Raises:
        AssistantError, EngineError: with a sentence each.
    """
    chosen = _chosen(wishes, LabelSets(paths))
    shelf = Shelf(paths)
    model = shelf.find(wishes.model) if wishes.model else shelf.default()[0]
    if wishes.train:
        paths.make()
        chosen = LabelSets(paths).create(wishes.train, list(chosen.labels), list(chosen.examples))
        await _train(chosen, model)
        chosen = LabelSets(paths).read(wishes.train)
    if not wishes.names:
        return 0
    client = EngineClient(model.path, wishes.device)
    failed = False
    try:
        labeller = Labeller(client, chosen)
        items = read_all(wishes.names, standard_input)
        while batch := await beside(lambda: _batch(items)):
            told = await labeller.label([readable(email) for _, email in batch if email is not None])
            failed |= _print(batch, told, wishes)
    finally:
        await client.close()
    return 2 if failed else 0


def _chosen(wishes: ClassifyWishes, sets: LabelSets) -> LabelSet:
    """The labels that are asked about, by whichever option names them."""
    if wishes.classifier:
        if wishes.labels or wishes.examples or wishes.train:
            raise UsageError("--as names a classifier that has its labels; leave out --labels, --examples and --train.")
        return sets.read(wishes.classifier)
    if not wishes.labels and wishes.examples is None:
        known = ", ".join(sets.names()) or "none yet"
        raise UsageError(f"Say which labels: --labels a,b,c, --examples FILE, or --as NAME (there are: {known}).")
    examples = read_examples(wishes.examples) if wishes.examples is not None else []
    labels = read_labels(wishes.labels) if wishes.labels else labels_of(examples)
    if strange := sorted({example.label for example in examples} - set(labels)):
        raise UsageError(f"The examples have the label {strange[0]!r}, which --labels does not name.")
    return LabelSet("these labels", Path(), tuple(labels), tuple(examples))


async def _train(chosen: LabelSet, model: ModelInfo) -> None:
    """Fine-tune where there are enough examples; say what came of it on stderr."""
    if not chosen.can_learn:
        _tell(
            f"{chosen.name} is kept: {len(chosen.labels)} labels, {chosen.method}. Fine-tuning begins at 50 examples."
        )
        return
    tuning = FineTuning(_tell)
    task = tuning.start(chosen, model.path, model.context_length)
    shown = ""
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=1)
            if sys.stderr.isatty() and tuning.line:
                shown = f"\r\x1b[K{tuning.line}"
                sys.stderr.write(shown)
                sys.stderr.flush()
    finally:
        await tuning.close()
        if shown:
            sys.stderr.write("\r\x1b[K")


def _batch(items: Iterator[Item]) -> list[tuple[Item, EmailText | None]]:
    return [(i, None if i.error else normalise(i.raw)) for i in itertools.islice(items, BATCH)]


def _print(
    batch: Sequence[tuple[Item, EmailText | None]], told: Sequence[Labelled], wishes: ClassifyWishes
) -> bool:  # fmt: skip
    """Print a batch; True where something in it could not be read."""
    rows, failed = iter(told), False
    for item, email in batch:
        if email is None:
            failed = True
            _tell(f"Error: {item.error}")
            if wishes.as_json:
                _line(json.dumps({"name": printable(item.name), "error": printable(item.error)}, ensure_ascii=False))
            continue
        labelled = next(rows)
        if wishes.as_json:
            _line(json.dumps(as_json(item, labelled), ensure_ascii=False))
        else:
            words = " ".join(readable(email).split())[:60]
            _line(f"{labelled.label:20s} {per_cent(labelled.probability):>7s}  {item.name}  {words}")
    sys.stdout.flush()
    return failed


def as_json(item: Item, labelled: Labelled) -> dict[str, Any]:
    """The object of one line of --json."""
    return {
        "name": printable(item.name),
        "label": labelled.label,
        "probability": labelled.probability,
        "labels": dict(labelled.rows),
        "method": labelled.method,
        "notes": list(labelled.notes),
    }


def _line(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")


def _tell(sentence: str) -> None:
    sys.stderr.write(printable(sentence) + "\n")
