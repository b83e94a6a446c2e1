"""Makes the spam scorer that ships out of rows (`prepare.py`): `python -m training spam stack`.

Owns the weights of hashed scorer (`fitting.py`) and network (`network.py`) on mail and on sources that neither had
seen (stacking, Wolpert 1992), the thresholds, and the folder with its card.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from engine.catalog import read_json
from engine.email_text.normalise import VERSION
from engine.errors import ModelFolderError
from engine.run.classifier import HEAD, TextClassifier
from engine.spam.loading import STACKED
from engine.spam.stacked_scorer import CLASSICAL, CLEAR, NEURAL
from training.errors import TrainingError
from training.spam.card import card
from training.spam.classical import write
from training.spam.extra import sklearn
from training.spam.fitting import FOLDS, Rows, abroad, calibrated_on, fit_hashed, joined
from training.spam.measures import Measures, measure, threshold_at
from training.spam.network import cut_network, head_of, with_head

# What the network's log-odds count beside the hashed scorer's. At home more would gain next to nothing; abroad it is
# right too seldom for a weight that is fitted at home.
SHARE = 0.2
ENOUGH = 500  # honest mails of a source
RATES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)  # false alarms that a threshold is stored for


def read_rows(path: Path) -> Rows:
    """The rows of a file that `prepare.py` wrote. Those without a fold get one by their text, and count as mails.

    Raises:
        TrainingError: missing, no JSON lines, without text and label, or with one label only.
    """
    texts, spam, sources, folds, counts, kinds = [], [], [], [], [], []
    try:
        with path.open(encoding="utf-8") as file:
            for row in map(json.loads, filter(str.strip, file)):
                texts.append(str(row["text"]))
                spam.append(row["label"] == "spam")
                sources.append(str(row.get("source", "")))
                folds.append(int(row.get("fold", zlib.crc32(texts[-1].encode("utf-8", "replace")) % FOLDS)))
                counts.append(float(row.get("count", 1.0)))
                kinds.append(str(row.get("kind", "plain")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} cannot be read as labelled texts ({error}). python -m training spam prepare"
        ) from None
    if len(set(spam)) < 2:
        raise TrainingError(f"{path} has mails of one kind only; both spam and honest mail are needed.")
    return Rows(texts, np.array(spam), sources, np.array(folds), np.array(counts), np.array(kinds))


def stack(prepared: Path, out: Path, figures: Mapping[str, Any] | None = None, network: Path | None = None) -> Measures:
    """Write the scorer of the rows in `prepared` into the folder `out`; its measures on mails as they were sent, each
    judged by scorers that had not seen it.

    Args:
        figures: more for the card: see `card.py`.
        network: a classifier whose body reads the mail; its head is fitted anew. None: one cut out of the base.

    Raises:
        ModelFolderError, TrainingError: `network` cannot be opened, or the rows cannot be read.
    """
    rows = joined(read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl"))
    hashed = fit_hashed(rows)
    plain = rows.kinds[hashed.places] == "plain"  # mail as it was sent
    seen, classical = rows.take(hashed.places[plain]), hashed.margins[plain]
    ham = [source for source, spam in zip(seen.sources, seen.spam, strict=True) if not spam]
    with tempfile.TemporaryDirectory() as temporary:
        if network is None:
            network = Path(temporary) / "network"
            cut_network(network)
        classifier = TextClassifier.load(network)
        head = head_of(classifier, rows)
        with_head(classifier, head)
        of_others, sources = abroad(rows, hashed), np.array(seen.sources)
        members = _members(head.margins, classical)
        strange = [(_members(head.abroad[s], of_others[s]), seen.spam[sources == s]) for s in of_others]
        mix = fit_stack((members, seen.spam), strange)
        probabilities = 1 / (1 + np.exp(-members @ mix))
        measures = measure(probabilities, seen.spam)
        alone = {
            name: measure(1 / (1 + np.exp(-column)), seen.spam)
            for name, column in ((NEURAL, head.margins), (CLASSICAL, classical))
        }
        config = {
            "stack": {NEURAL: float(mix[0]), CLASSICAL: float(mix[1]), "bias": 0.0, "head_bias": head.bias},
            "thresholds": thresholds(probabilities[~seen.spam], ham),
        }
        facts = {
            "mails": len(seen.texts),
            "texts": len(rows.texts),
            "held_out": asdict(measures),
            "alone": {name: asdict(each) for name, each in alone.items()},
            **(figures or {}),
        }
        publish(classifier, network, out, config, facts)
    hashed.scorer.config["thresholds"] = thresholds((1 / (1 + np.exp(-classical)))[~seen.spam], ham)
    name = f"{out.name}-{CLASSICAL}"  # what a copy of its folder is called that ships by itself
    write(hashed.scorer, name, out / CLASSICAL, alone[CLASSICAL], len(seen.texts), sorted(set(rows.sources)))
    return measures


def _members(neural: np.ndarray, classical: np.ndarray) -> np.ndarray:
    """[N, 2], as `StackedScorer.members`."""
    return np.stack([neural, classical], axis=1).clip(-CLEAR, CLEAR)


def fit_stack(home: tuple[np.ndarray, np.ndarray], strange: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[2]: weights for the log-odds of two members, from (members [N, 2], spam [N] bool) of mail like that which both
    have learned from, and of each source by scorers that were fitted without it. The `strange` ones together count as
    much as `home`, so that what is said of a stranger's mail is not much surer than it is right. There is no bias:
    each source would ask for another. Calibrated as the hashed scorer is."""
    groups, shares = [home, *strange], [1.0, *(1 / len(strange) for _ in strange)]
    spam = np.concatenate([each for _, each in groups])
    summed = np.concatenate([members @ (SHARE, 1.0) for members, _ in groups])
    counts = [calibrated_on(each) for _, each in groups]
    counts = [share * count / count.sum() for share, count in zip(shares, counts, strict=True)]
    model = sklearn("linear_model").LogisticRegression(C=10.0, fit_intercept=False)
    model.fit(summed[:, None], spam, sample_weight=len(spam) * np.concatenate(counts) / sum(shares))
    return model.coef_[0][0] * np.array([SHARE, 1.0])


def thresholds(ham: np.ndarray, sources: Sequence[str]) -> list[list[float]]:
    """[rate, probability] rows for held-out honest mail's probabilities `ham` and where each mail is from.

    A rate holds for every source that has enough mail to say so, not only over all of them: whose mail it will be is
    not known.
    """
    groups = [ham, *(ham[places] for source in set(sources) if (places := np.array(sources) == source).sum() >= ENOUGH)]
    return [[rate, min(max(threshold_at(group, rate) for group in groups), 1.0)] for rate in RATES]


def publish(
    classifier: TextClassifier, network: Path, out: Path, config: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write config, card, record and the network into `out`; the hashed scorer's folder comes by itself.

    `classifier` has the head, and `network` is the folder of all the rest of it.
    """
    shutil.rmtree(out, ignore_errors=True)
    (out / NEURAL).mkdir(parents=True)
    for path in sorted(network.iterdir()):
        if path.is_file() and path.name != "model.safetensors":
            shutil.copyfile(path, out / NEURAL / path.name)
    save_half(network / "model.safetensors", out / NEURAL / "model.safetensors", {HEAD: classifier.head})
    whole = {
        "format_version": 2,
        "architecture": STACKED,
        "task": "spam",
        "labels": ["not spam", "spam"],
        "normaliser_version": VERSION,
        **config,
    }
    _json(out / "config.json", whole)
    _json(out / "training.json", {"name": out.name, "licence": "Apache-2.0", **facts})
    (out / "README.md").write_text(card(out.name, whole, facts), encoding="utf-8")


def rewrite_card(folder: Path, figures: Mapping[str, Any]) -> None:
    """Put `figures` into the record and the card of the scorer in `folder`.

    Raises:
        ModelFolderError: there is none.
    """
    config, facts = read_json(folder / "config.json"), read_json(folder / "training.json") | dict(figures)
    _json(folder / "training.json", facts)
    (folder / "README.md").write_text(card(folder.name, config, facts), encoding="utf-8")


def save_half(source: Path, target: Path, changes: Mapping[str, Any]) -> None:
    """Copy safetensors with every fp32 tensor as bf16, and `changes` in place of those of their names.

    Raises:
        ModelFolderError: `source` cannot be read.
    """
    import torch

    try:
        tensors = load_file(source)
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"The weights {source} cannot be read ({error}).") from error
    tensors |= changes
    half = {n: t.to(torch.bfloat16) if t.dtype == torch.float32 else t for n, t in tensors.items()}
    half = {n: t.contiguous() for n, t in half.items()}
    save_file(half, target, metadata={"format": "pt"})


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
