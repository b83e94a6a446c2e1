"""The network of the spam scorer: the lowest blocks of a base model, which learn to tell spam (`stages/classify.py`).

Owns which rows it learns, and its log-odds. Mail of fold HELD is kept from it, to show what it says of mail that it has
not seen. A second one learns English and mail written by hand alone: a stranger to every corpus, by which the scorer
learns how sure to be of strangers' mail.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import training
from engine.run.classifier import TextClassifier
from engine.spam.stacked_scorer import beginning, log_odds
from training.errors import TrainingError
from training.recipe import load_recipe
from training.spam.fitting import BESIDE, Rows, corpora_of
from training.stages.classify import classify
from training.stages.job import Job

RECIPE = Path(training.__file__).parent / "recipes" / "homespun-spam.toml"
HELD = 0  # the fold that no network learns
LEARNED = ("plain", "accent", "passage", "disguised")  # kinds of rows of mail
# English and mail by hand for one row of mail, where that is of one corpus and where it is of several.
BESIDE_ONE, BESIDE_SEVERAL = 0.2, 0.7
READ, READ_MORE = 28_000, 24_000  # rows that are read, again and again if need be; and so many more for each corpus
LABELS = ("not spam", "spam")


def tuned(rows: Rows, folder: Path, recipe: Path = RECIPE, seed: int = 0) -> Path:
    """The folder of a network that has learned `rows` but for fold HELD; one that is in `folder` already is taken.
    Another `seed` gives another one: other first weights, another order, other rows beside mail.

    Raises:
        TrainingError: there are rows of one label only, or too few.
        ModelFolderError: the base model cannot be opened.
    """
    made = folder / "run" / "classify" / "model"
    if (made / "config.json").is_file():
        return made
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    taken = learned(rows, seed)
    _write(rows.take(taken), folder / "train.jsonl")
    held = (rows.folds == HELD) & np.isin(rows.kinds, ("plain",) if corpora_of(rows) else BESIDE)
    _write(rows.take(held), folder / "valid.jsonl")
    read = load_recipe(recipe)
    epochs = read.classify.epochs * (READ + READ_MORE * max(len(corpora_of(rows)), 1)) / len(taken)
    read = replace(read, classify=replace(read.classify, epochs=epochs, seed=read.classify.seed + seed))
    if not classify(Job(read, folder / "run", folder, torch.device("cpu"))):
        raise TrainingError(f"The network in {folder} was stopped before it had learned all.")
    return made


def learned(rows: Rows, seed: int = 0) -> np.ndarray:
    """Indices of the rows that a network learns: mail, and of English and mail by hand as many as go with it."""
    free = rows.folds != HELD
    mail = np.flatnonzero(free & np.isin(rows.kinds, LEARNED))
    beside = np.random.default_rng(seed).permutation(np.flatnonzero(free & np.isin(rows.kinds, BESIDE)))
    if len(mail):
        share = BESIDE_ONE if len(corpora_of(rows)) == 1 else BESIDE_SEVERAL
        beside = beside[: round(share * len(mail))]
    return np.sort(np.concatenate([mail, beside]))


def _write(rows: Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for text, spam in zip(rows.texts, rows.spam.tolist(), strict=True):
            file.write(json.dumps({"text": beginning(text), "label": LABELS[spam]}, ensure_ascii=False) + "\n")


def says(network: Path, texts: Sequence[str]) -> np.ndarray:
    """[texts]: log-odds of spam by the network in the folder `network`."""
    return log_odds(TextClassifier.load(network), texts)
