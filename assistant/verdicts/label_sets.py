"""LabelSets: labels that somebody wants to tell apart, with examples, and the classifier that was trained on them.

A set is a folder below `classifiers/` in the data folder: `labels.json`, `examples.jsonl`, and `model/` once it has
been fine-tuned. Classifiers in the models folder count as sets without examples. How a text is labelled is `asking.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import StorageError, UsageError
from assistant.paths import Paths
from assistant.verdicts.examples import Example, check_labels, clean_label, labels_of
from engine.catalog import read_json
from engine.errors import ModelFolderError

ENOUGH = 50  # examples from which on fine-tuning is worth it
NAME = re.compile(r"[^\W_][\w .-]{0,39}")


@dataclass(frozen=True)
class LabelSet:
    name: str
    folder: Path
    labels: tuple[str, ...]
    examples: tuple[Example, ...] = ()
    model: Path | None = None  # a classifier's folder

    @property
    def can_learn(self) -> bool:
        """Whether it has enough examples to be fine-tuned."""
        return len(self.examples) >= ENOUGH

    @property
    def method(self) -> str:
        """How it tells, in words."""
        if self.model is not None:
            return "fine-tuned"
        count = len(self.examples)
        return f"few-shot, {count} example{'s' * (count != 1)}" if count else "zero-shot"


def name_of(text: str) -> str:
    """What of `text` can be a set's name; "" where nothing can."""
    return re.sub(r"^[\W_]+|[^\w .-]", "", text)[:40].strip()


def held_out(model: Path) -> tuple[int, float | None]:
    """How many examples the classifier in folder `model` was measured on, and the share that it labelled right; None
    where its own record does not say."""
    try:
        metrics = read_json(model / "training.json").get("metrics", {})
        return int(metrics["held_out"]), float(metrics["accuracy"])
    except (ModelFolderError, KeyError, TypeError, ValueError, AttributeError):
        return 0, None


class LabelSets:
    """The sets below `paths`."""

    def __init__(self, paths: Paths) -> None:
        self.folder, self._models = paths.data / "classifiers", paths.models

    def names(self) -> list[str]:
        """Of the sets made here, then of the classifiers in the models folder."""
        own = sorted(path.parent.name for path in self.folder.glob("*/labels.json"))
        models = sorted(path.parent.name for path in self._models.glob("*/config.json") if is_classifier(path.parent))
        return own + [name for name in models if name not in own]

    def read(self, name: str) -> LabelSet:
        """The set called `name`, or the classifier in folder `name`.

        Raises:
            UsageError: there is none, or it is damaged.
        """
        folder = self.folder / name
        if NAME.fullmatch(name) and (folder / "labels.json").is_file():
            return self._read(name, folder)
        for path in (self._models / name, Path(os.path.expanduser(name))):
            if is_classifier(path):
                return LabelSet(
                    path.name, path, tuple(read_json(path / "config.json")["id2label"].values()), model=path
                )
        known = ", ".join(self.names()) or "none yet"
        raise UsageError(f"There is no classifier called {name!r}. There are: {known}.")

    def create(self, name: str, labels: list[str], examples: list[Example]) -> LabelSet:
        """Write a new set.

        Raises:
            UsageError: the name cannot be one, or is taken.
            StorageError: it cannot be written.
        """
        name = name.strip()
        if not NAME.fullmatch(name) or name == "spam":
            raise UsageError(
                "A name begins with a letter or figure and has only these, spaces, points, - and _, 40 at most; and it "
                "is not “spam”."
            )
        if (self.folder / name).exists():
            raise UsageError(f"There is a classifier called {name} already. Choose another name.")
        labels = list(dict.fromkeys([*map(clean_label, labels), *labels_of(examples)]))
        check_labels(labels, name)
        try:
            (self.folder / name).mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise StorageError(f"The folder {self.folder} cannot be written: {error.strerror}.") from error
        made = LabelSet(name, self.folder / name, tuple(labels), tuple(examples))
        self._write(made)
        return made

    def add(self, made: LabelSet, example: Example) -> LabelSet:
        """`made` with one more example: a correction; it takes the place of one with the same text.

        Raises:
            UsageError: it is a model from elsewhere.
            StorageError: it cannot be written.
        """
        if made.folder.parent != self.folder:
            raise UsageError(f"{made.name} is a model without examples, so that nothing can be added to it.")
        kept = [old for old in made.examples if old.text != example.text]
        grown = LabelSet(made.name, made.folder, made.labels, (*kept, example), made.model)
        self._write(grown)
        return grown

    def withdraw(self, made: LabelSet, example: Example) -> LabelSet:
        """`made` without `example`: a correction that is taken back.

        Raises:
            StorageError: it cannot be written.
        """
        left = tuple(old for old in made.examples if old != example)
        shrunk = LabelSet(made.name, made.folder, made.labels, left, made.model)
        if len(left) < len(made.examples):
            self._write(shrunk)
        return shrunk

    def remove(self, made: LabelSet) -> None:
        """Delete a set that was made here, its examples and its model.

        Raises:
            UsageError: it is a model from elsewhere.
        """
        if made.folder.parent != self.folder:
            raise UsageError(f"{made.name} is in the models folder: the list of models removes it.")
        shutil.rmtree(made.folder, ignore_errors=True)

    def _read(self, name: str, folder: Path) -> LabelSet:
        try:
            labels = tuple(str(label) for label in read_json(folder / "labels.json")["labels"])
            lines = (folder / "examples.jsonl").read_text(encoding="utf-8").split("\n")
            examples = tuple(Example(**json.loads(line)) for line in lines if line)
        except (ModelFolderError, OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"The classifier {name} is damaged ({error}). Its folder is {folder}.") from None
        model = folder / "model"
        return LabelSet(name, folder, labels, examples, model if is_classifier(model) else None)

    def _write(self, made: LabelSet) -> None:
        lines = "".join(json.dumps({"text": e.text, "label": e.label}) + "\n" for e in made.examples)
        files = {"examples.jsonl": lines, "labels.json": json.dumps({"labels": list(made.labels)}, indent=1) + "\n"}
        try:
            for name, text in files.items():
                temporary = made.folder / f".{name}"
                temporary.write_text(text, encoding="utf-8")
                temporary.chmod(0o600)
                temporary.replace(made.folder / name)
        except OSError as error:
            raise StorageError(f"{made.folder} cannot be written: {error.strerror}.") from error


def is_classifier(folder: Path) -> bool:
    """Whether `folder` holds a model that tells labels apart."""
    try:
        config = read_json(folder / "config.json")
    except ModelFolderError:
        return False
    return config.get("task") == "classify" and isinstance(config.get("id2label"), dict)
