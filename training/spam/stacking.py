"""Makes the spam scorer that ships out of a trained network: `python -m training spam stack`.

Owns fitting the hashed scorer on the same rows (`prepare.py`), the weights of the two on held-out rows (stacking,
Wolpert 1992), the thresholds, and the folder with its card. The network comes from `python -m training classify`.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file

from engine.catalog import read_json
from engine.email_text.normalise import VERSION
from engine.errors import ModelFolderError
from engine.run.classifier import TextClassifier
from engine.spam.hashed_scorer import HashedScorer
from engine.spam.loading import STACKED
from engine.spam.stacked_scorer import CLASSICAL, NEURAL, StackedScorer
from training.errors import TrainingError
from training.spam.baseline import fit_hashed, sklearn
from training.spam.card import card
from training.spam.classical import RATES, calibrate, write
from training.spam.measures import Measures, measure, threshold_at

ENOUGH = 500  # honest mails of a source


@dataclass(frozen=True)
class Rows:
    """Labelled texts of the normaliser."""

    texts: list[str]
    spam: np.ndarray  # [N] bool
    sources: list[str]


def read_rows(path: Path) -> Rows:
    """The rows of a file that `prepare.py` wrote.

    Raises:
        TrainingError: missing, no JSON lines, without text and label, or with one label only.
    """
    texts, spam, sources = [], [], []
    try:
        with path.open(encoding="utf-8") as file:
            for row in map(json.loads, filter(str.strip, file)):
                texts.append(str(row["text"]))
                spam.append(row["label"] == "spam")
                sources.append(str(row.get("source", "")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} cannot be read as labelled texts ({error}). python -m training spam prepare"
        ) from None
    if len(set(spam)) < 2:
        raise TrainingError(f"{path} has mails of one kind only; both spam and honest mail are needed.")
    return Rows(texts, np.array(spam), sources)


def weights_of(rows: Rows) -> np.ndarray:
    """[N]: how much each row counts: by the root of its group's size, so that a small source counts more than its size
    and less than a large one."""
    groups = list(zip(rows.sources, rows.spam.tolist(), strict=True))
    counts = Counter(groups)
    mean = float(np.mean(list(counts.values())))
    return np.array([(mean / counts[group]) ** 0.5 for group in groups])


def stack(
    prepared: Path, network: Path, out: Path, figures: Mapping[str, Any] | None = None, hashed: Path | None = None
) -> Measures:
    """Write the scorer of `network` and a hashed one on the rows in `prepared` into the folder `out`; its measures on
    the held-out rows.

    Args:
        figures: more for the card: see `card.py`.
        hashed: a scorer that has been fitted on these rows already.

    Raises:
        ModelFolderError, TrainingError: `network` knows no spam, or the rows cannot be read.
    """
    train, held = read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl")
    classical = HashedScorer.load(hashed) if hashed else fit_hashed(train.texts, train.spam, weights_of(train))
    classical_measures = measure(calibrate(classical, held.texts, held.spam), held.spam)
    classifier = TextClassifier.load(network)
    if "spam" not in classifier.labels:
        raise TrainingError(
            f"{network} tells {', '.join(classifier.labels)} apart; a spam scorer needs a label 'spam'."
        )
    config = {"stack": {NEURAL: 0.5, CLASSICAL: 0.5, "bias": 0.0}, "thresholds": [[0.0, 1.0]]}
    scorer = StackedScorer(out.name, classifier, classical, config)
    members = scorer.members(held.texts)
    scorer.weights, scorer.bias = fit_stack(members, held.spam)
    probabilities = 1 / (1 + np.exp(-(members @ scorer.weights + scorer.bias)))
    measures = measure(probabilities, held.spam)
    alone = {
        CLASSICAL: asdict(classical_measures),
        NEURAL: asdict(measure(1 / (1 + np.exp(-members[:, 0])), held.spam)),
    }
    facts = {"mails": len(train.texts), "held_out": asdict(measures), "alone": alone, **(figures or {})}
    ham = [source for source, spam in zip(held.sources, held.spam, strict=True) if not spam]
    publish(scorer, network, out, thresholds(probabilities[~held.spam], ham), facts)
    write(classical, out / CLASSICAL, classical_measures, len(train.texts))
    learn_all(prepared, out / CLASSICAL)
    return measures


def learn_all(prepared: Path, folder: Path) -> None:
    """Fit the hashed scorer in `folder` anew on all rows in `prepared`, the held-out ones too.

    Its calibration, thresholds and figures stay those that were measured before it had seen these: a quarter more mail
    makes it no worse, and nothing is left that they could be measured on.
    """
    train, held = read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl")
    rows = Rows(train.texts + held.texts, np.concatenate([train.spam, held.spam]), train.sources + held.sources)
    fitted = fit_hashed(rows.texts, rows.spam, weights_of(rows))
    config = read_json(folder / "config.json") | {"bias": fitted.bias}
    _json(folder / "config.json", config)
    weights = {"weights": fitted.weights.astype(np.float16), "idf": fitted.idf.astype(np.float16)}
    save_numpy(weights, folder / "model.safetensors")


def fit_alone(prepared: Path, out: Path) -> Measures:
    """Write the hashed scorer of the rows in `prepared` into the folder `out`; its measures on the held-out rows.

    Raises:
        TrainingError: the rows cannot be read.
    """
    train, held = read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl")
    scorer = fit_hashed(train.texts, train.spam, weights_of(train))
    measures = measure(calibrate(scorer, held.texts, held.spam), held.spam)
    write(scorer, out, measures, len(train.texts))
    return measures


def fit_stack(members: np.ndarray, spam: np.ndarray) -> tuple[np.ndarray, float]:
    """(weights [2], bias) of log-odds `members` [N, 2] by logistic regression; none is below 0."""
    fitted = sklearn("linear_model").LogisticRegression(C=10.0).fit(members, spam)
    weights, bias = fitted.coef_[0], float(fitted.intercept_[0])
    if (weights < 0).any():  # the two agree so well that one would correct the other: the better one alone
        best = int(np.argmax(weights))
        fitted = sklearn("linear_model").LogisticRegression(C=10.0).fit(members[:, [best]], spam)
        weights = np.zeros(2)
        weights[best], bias = fitted.coef_[0][0], float(fitted.intercept_[0])
    return weights, bias


def thresholds(ham: np.ndarray, sources: Sequence[str]) -> list[list[float]]:
    """[rate, probability] rows for held-out honest mail's probabilities `ham` and where each mail is from.

    A rate holds for every source that has enough mail to say so, not only over all of them: whose mail it will be is
    not known.
    """
    groups = [ham, *(ham[places] for source in set(sources) if (places := np.array(sources) == source).sum() >= ENOUGH)]
    return [[rate, min(max(threshold_at(group, rate) for group in groups), 1.0)] for rate in RATES]


def publish(
    scorer: StackedScorer, network: Path, out: Path, table: Sequence[Sequence[float]], facts: Mapping[str, Any]
) -> None:
    """Write config, card, record and network of `scorer` into `out`; the hashed scorer's folder comes by itself."""
    shutil.rmtree(out, ignore_errors=True)
    (out / NEURAL).mkdir(parents=True)
    for path in sorted(network.iterdir()):
        if path.is_file() and path.name != "model.safetensors":
            shutil.copyfile(path, out / NEURAL / path.name)
    save_half(network / "model.safetensors", out / NEURAL / "model.safetensors")
    config = {
        "format_version": 1,
        "architecture": STACKED,
        "task": "spam",
        "labels": ["not spam", "spam"],
        "normaliser_version": VERSION,
        "stack": {NEURAL: float(scorer.weights[0]), CLASSICAL: float(scorer.weights[1]), "bias": scorer.bias},
        "thresholds": [list(row) for row in table],
    }
    _json(out / "config.json", config)
    _json(out / "training.json", {"name": out.name, "licence": "Apache-2.0", **facts})
    (out / "README.md").write_text(card(out.name, config, facts), encoding="utf-8")


def rewrite_card(folder: Path, figures: Mapping[str, Any]) -> None:
    """Put `figures` into the record and the card of the scorer in `folder`.

    Raises:
        ModelFolderError: there is none.
    """
    config, facts = read_json(folder / "config.json"), read_json(folder / "training.json") | dict(figures)
    _json(folder / "training.json", facts)
    (folder / "README.md").write_text(card(folder.name, config, facts), encoding="utf-8")


def save_half(source: Path, target: Path) -> None:
    """Copy safetensors with every fp32 tensor as bf16.

    Raises:
        ModelFolderError: `source` cannot be read.
    """
    import torch

    try:
        tensors = load_file(source)
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"The weights {source} cannot be read ({error}).") from error
    half = {n: t.to(torch.bfloat16) if t.dtype == torch.float32 else t for n, t in tensors.items()}
    save_file(half, target, metadata={"format": "pt"})


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
