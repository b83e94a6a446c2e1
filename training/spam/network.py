"""The network of the spam scorer: the lowest block of a base model as it is, and a head fitted on mail.

Owns cutting the network out of the base and fitting its head by logistic regression, cross-validated. The blocks stay
as pretraining left them: fine-tuned on these corpora they learn the mails by heart and are right less often elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.catalog import find
from engine.files.model_folder import load
from engine.run.classifier import Classifier, ClassifierConfig, TextClassifier, save_classifier
from engine.spam.stacked_scorer import ends
from training.data.vocabulary import open_vocabulary
from training.spam.extra import sklearn
from training.spam.fitting import MOST_BESIDE, Rows, to_leave_out, weights_of
from training.stages.classify import keep_blocks
from training.stages.results import vocabulary_files

BASE, BLOCKS, CONTEXT = "homespun-v0", 1, 64
LABELS = ("not spam", "spam")
C = 0.03  # how little the head is held down, on rows of unit variance
READ = {"plain": 1.0, "ordinary": 0.25, "written": 0.25}  # kinds of rows that it is fitted on, and how much they count


def cut_network(out: Path, base: str = BASE) -> None:
    """Write a classifier of the lowest blocks of `base` into `out`: it reads both ends of a text, takes the mean of its
    tokens, and its head is still zero.

    Raises:
        ModelFolderError, RecipeError: the base cannot be opened, or is a GGUF file.
    """
    body = load(find(base).path).model
    keep_blocks(body, BLOCKS)  # type: ignore[arg-type]  # plain layers: see training/stages/start.py
    config = ClassifierConfig(LABELS, "mean", True, CONTEXT, "ends")
    model = Classifier(body, config)  # type: ignore[arg-type]
    model.score.weight.data.zero_()
    files = vocabulary_files(open_vocabulary(out, base))
    card = f"# The network of a spam scorer\n\nThe lowest block of {base} as it is, and a head that tells spam.\n"
    training = {"parent": f"the base model {base}", "blocks": BLOCKS, "licence": "Apache-2.0"}
    save_classifier(out, model, files, training=training, card=card)


@dataclass(frozen=True)
class Head:
    """A head for the label "spam", and what its likes said of mail that they had not seen."""

    weights: np.ndarray  # [C]
    bias: float
    margins: np.ndarray  # [N]: log-odds of each row by a head that was fitted without its fold
    # For each corpus the log-odds of its mails by a head that was fitted without it; see `fitting.to_leave_out`.
    abroad: dict[str, np.ndarray] = field(default_factory=dict)


def fit_head(pooled: np.ndarray, spam: np.ndarray, folds: np.ndarray, weights: np.ndarray) -> Head:
    """The head of `pooled` [N, C] rows; `weights` and `folds` are [N]. Without folds nothing is held out."""
    mean, spread = pooled.mean(axis=0), pooled.std(axis=0) + 1e-6
    rows = (pooled - mean) / spread
    margins = np.zeros(len(rows))
    for fold in np.unique(folds):
        held = folds == fold
        margins[held] = _regression(rows[~held], spam[~held], weights[~held]).decision_function(rows[held])
    fitted = _regression(rows, spam, weights)
    head = fitted.coef_[0] / spread
    return Head(head.astype(np.float32), float(fitted.intercept_[0] - head @ mean), margins)


def _regression(rows: np.ndarray, spam: np.ndarray, weights: np.ndarray) -> Any:
    return sklearn("linear_model").LogisticRegression(C=C, max_iter=200).fit(rows, spam, sample_weight=weights)


def head_of(network: TextClassifier, rows: Rows) -> Head:
    """The head of `network` for `rows`, and the log-odds of those of the kind "plain" [plain rows]: of mail as it was
    sent. Without ordinary English and mail written by hand it takes whatever is strange for spam."""
    taken = rows.take(np.isin(rows.kinds, list(READ)))
    taken = replace(taken, counts=taken.counts * np.array([READ[kind] for kind in taken.kinds.tolist()]))
    pooled, sources, sent = pooled_by(network, taken.texts), np.array(taken.sources), taken.kinds == "plain"
    head = fit_head(pooled, taken.spam, taken.folds, weights_of(taken))
    abroad = {}
    for source in to_leave_out(taken):
        rest = sources != source
        weights, no_folds = weights_of(taken.take(rest), MOST_BESIDE), np.empty(0, dtype=int)
        other = fit_head(pooled[rest], taken.spam[rest], no_folds, weights)
        abroad[source] = pooled[(sources == source) & sent] @ other.weights + other.bias
    return replace(head, margins=head.margins[sent], abroad=abroad)


def pooled_by(network: TextClassifier, texts: Sequence[str]) -> np.ndarray:
    """[N, C], fp32: what the head reads of each text."""
    return network.pooled([ends(text) for text in texts]).cpu().numpy()


def with_head(network: TextClassifier, head: Head) -> None:
    """Give `network` the head, in place: the odds of spam are those of its log-odds, but for the bias."""
    change = torch.from_numpy(head.weights) / 2
    network.head = torch.stack([-change, change])
