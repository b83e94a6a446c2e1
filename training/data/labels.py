"""Labelled texts: read from a table, cleaned, without doubles, encoded, and split into training and held-out ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engine.run.classifier import encode
from engine.text.tokenizer import Tokenizer
from training.data.cleaning import clean_text
from training.data.grouping import check_split, held_out
from training.data.tables import Row, read_table
from training.recipe import ClassifyRecipe, RecipeError


@dataclass(frozen=True)
class Labelled:
    """One text as ids, not yet cut, and the number of its label."""

    tokens: list[int]
    label: int


@dataclass(frozen=True)
class LabelledSet:
    labels: tuple[str, ...]
    train: list[Labelled]
    valid: list[Labelled]
    report: dict[str, int]  # what was kept, and dropped and why


def read_labelled(recipe: ClassifyRecipe, root: Path, tokenizer: Tokenizer) -> LabelledSet:
    """The examples that `recipe` names below `root`.

    Raises:
        RecipeError: no file, wrong columns, a label the recipe does not know, fewer than two labels, or a label with
            too few examples to learn and to check it.
    """
    known: dict[str, str] = {}  # text → label, over both files
    report: Counter[str] = Counter(kept=0, held_out=0, empty=0, double=0, contradicting=0)
    valid_texts: set[str] = set()
    if recipe.valid_files:
        valid_texts |= _collect(recipe, root, recipe.valid_files, known, report).keys()
    texts = _collect(recipe, root, recipe.files, known, report)
    if not recipe.valid_files:
        valid_texts = {text for text in texts if held_out(text, recipe.valid_percent)}
    labels = _labels(recipe, known)
    number = {label: index for index, label in enumerate(labels)}
    split: dict[bool, list[Labelled]] = {True: [], False: []}
    for text, label in known.items():
        split[text in valid_texts].append(Labelled(encode(tokenizer, text), number[label]))
    report["kept"], report["held_out"] = len(known), len(split[True])
    report["longer_than_context"] = sum(len(e.tokens) > recipe.context for part in split.values() for e in part)
    check_split(len(split[False]), len(split[True]), "labelled texts")
    for label, index in number.items():
        count = sum(example.label == index for example in split[False])
        if count < 2:
            raise RecipeError(
                f"[classify] the label {label!r} has {count} training example{'s' if count != 1 else ''}; at least 2 "
                "are needed. Add some, or leave the label out of the table."
            )
    return LabelledSet(labels, split[False], split[True], dict(report))


def _collect(
    recipe: ClassifyRecipe, root: Path, pattern: str, known: dict[str, str], report: Counter[str]
) -> dict[str, str]:
    """Texts → labels of the files `pattern`, put into `known` as well; the first of two like texts stays."""
    found: dict[str, str] = {}
    for row in read_table(root, pattern, [*recipe.text, recipe.label], "[classify] files"):
        text, label = _text(row, recipe), str(row[recipe.label]).strip()
        if not text or not label:
            report["empty"] += 1
        elif text in known:
            report["double" if known[text] == label else "contradicting"] += 1
        else:
            known[text] = found[text] = label
    return found


def _text(row: Row, recipe: ClassifyRecipe) -> str:
    return "\n\n".join(part for part in (clean_text(str(row[name])) for name in recipe.text) if part)


def _labels(recipe: ClassifyRecipe, known: dict[str, str]) -> tuple[str, ...]:
    there = sorted(set(known.values()))
    if recipe.labels and (strange := sorted(set(there) - set(recipe.labels))):
        raise RecipeError(
            f"[classify] an example has the label {strange[0]!r}, which labels = {list(recipe.labels)} does not name."
        )
    labels = recipe.labels or tuple(there)
    if len(labels) < 2:
        only = f"only the label {labels[0]!r}" if labels else "no label"
        raise RecipeError(f"[classify] the examples have {only}; telling apart needs at least two.")
    return labels
