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
from engine.spam.loading import STACKED
from engine.spam.stacked_scorer import CLASSICAL, CLEAR, NEURAL
from training.errors import TrainingError
from training.spam.card import card
from training.spam.classical import write
from training.spam.extra import sklearn
from training.spam.fitting import BESIDE, FOLDS, Fitted, Rows, abroad, calibrated_on, fit_hashed, joined, to_leave_out
from training.spam.measures import Measures, expected_threshold, measure
from training.spam.network import HELD, RECIPE, says, tuned

# What the network's log-odds count beside the hashed scorer's. From 0.2 to 0.5 it is much the same at home and abroad;
# one fitted at home would be too large abroad, where the network is right less often.
SHARE = 0.4
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


def stack(
    prepared: Path,
    out: Path,
    figures: Mapping[str, Any] | None = None,
    work: Path | None = None,
    stranger: Path | None = None,
    recipe: Path = RECIPE,
    seed: int = 0,
) -> Measures:
    """Write the scorer of the rows in `prepared` into the folder `out`; its measures on mails as they were sent that
    neither of its parts had seen.

    Args:
        figures: more for the card: see `card.py`.
        work: where the network is trained, and kept; None: nowhere.
        stranger: the same of the network that learns no corpus, which is the same for all that have the same English
            and mail by hand.
        recipe: of the networks.
        seed: of the networks; what is hashed knows no chance.

    Raises:
        ModelFolderError, TrainingError: the base model cannot be opened, or the rows cannot be read.
    """
    rows = joined(read_rows(prepared / "train.jsonl"), read_rows(prepared / "valid.jsonl"))
    with tempfile.TemporaryDirectory() as temporary:
        network = tuned(rows, work or Path(temporary) / "network", recipe, seed)
        hashed = fit_hashed(rows)
        plain = rows.kinds[hashed.places] == "plain"  # mail as it was sent
        fresh = plain & (rows.folds[hashed.places] == HELD)
        seen = rows.take(hashed.places[fresh])
        members = _members(says(network, seen.texts), hashed.margins[fresh])
        unknown = _strange(rows, hashed, stranger or Path(temporary) / "stranger", recipe, seed)
        mix = fit_stack((members, seen.spam), unknown)
        probabilities = _probabilities(members @ mix)
        measures = measure(probabilities, seen.spam)
        alone = {name: measure(_probabilities(members[:, n]), seen.spam) for n, name in enumerate((NEURAL, CLASSICAL))}
        config = {
            "stack": {NEURAL: float(mix[0]), CLASSICAL: float(mix[1]), "bias": 0.0},
            "thresholds": thresholds(probabilities[~seen.spam], _honest_sources(seen)),
        }
        facts = {
            **(figures or {}),
            "mails": int(plain.sum()),
            "texts": len(rows.texts),
            "held_out": asdict(measures),
            "alone": {name: asdict(each) for name, each in alone.items()},
        }
        publish(network, out, config, facts)
    every, classical = rows.take(hashed.places[plain]), _probabilities(hashed.margins[plain])
    hashed.scorer.config["thresholds"] = thresholds(classical[~every.spam], _honest_sources(every))
    name = f"{out.name}-{CLASSICAL}"  # what a copy of its folder is called that ships by itself
    figures_alone = measure(classical, every.spam)
    write(hashed.scorer, name, out / CLASSICAL, figures_alone, len(every.texts), sorted(set(rows.sources)))
    return measures


def _strange(rows: Rows, hashed: Fitted, folder: Path, recipe: Path, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(members, spam) of each corpus of `rows` that can be left out, as strangers to it judge its mail: a hashed scorer
    that was fitted without it, and a network, kept in `folder`, that learned no corpus at all."""
    beside = rows.take(np.isin(rows.kinds, BESIDE))
    if not (beside.spam.any() and to_leave_out(rows)):
        return []
    network, sources, found = tuned(beside, folder, recipe, seed), np.array(rows.sources), []
    for source, margins in abroad(rows, hashed).items():
        sent = rows.take((sources == source) & (rows.kinds == "plain"))
        found.append((_members(says(network, sent.texts), margins), sent.spam))
    return found


def _probabilities(margins: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-margins)))


def _honest_sources(rows: Rows) -> list[str]:
    return [source for source, spam in zip(rows.sources, rows.spam, strict=True) if not spam]


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

    A rate is to hold for every source that has enough mail to say so, not only over all of them: whose mail it will be
    is not known.
    """
    groups = [ham, *(ham[places] for source in set(sources) if (places := np.array(sources) == source).sum() >= ENOUGH)]
    found = [max(expected_threshold(group, rate) for group in groups) for rate in RATES]
    return [[rate, min(max(found[place:]), 1.0)] for place, rate in enumerate(RATES)]  # a lower rate asks for no less


def publish(network: Path, out: Path, config: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write config, card, record and the network's folder into `out`; the hashed scorer's comes by itself."""
    shutil.rmtree(out, ignore_errors=True)
    (out / NEURAL).mkdir(parents=True)
    for path in sorted(network.iterdir()):
        if path.is_file() and path.name != "model.safetensors":
            shutil.copyfile(path, out / NEURAL / path.name)
    save_half(network / "model.safetensors", out / NEURAL / "model.safetensors")
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
    save_file({n: t.contiguous() for n, t in half.items()}, target, metadata={"format": "pt"})


def _json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
