"""Scorers that are trained in a minute: TF-IDF with logistic regression, and the hashed scorer that ships.

scikit-learn comes with `pip install homespun[spam-baseline]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.catalog import read_json
from engine.spam.hashed_scorer import ARCHITECTURE
from engine.spam.loading import STACKED, load_judge
from training.errors import TrainingError
from training.spam.extra import sklearn
from training.spam.splits import Example


class Trained(Protocol):
    """Anything that says how likely mails are spam, [N], 0 … 1."""

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray: ...


class TfIdf:
    """The field's yardstick: TF-IDF of words, or of letter groups, of the mail as it is, and logistic regression."""

    def __init__(self, examples: Sequence[Example], analyzer: str) -> None:
        """`analyzer`: "words" (one and two of them) or "characters" (2 to 5 of them)."""
        text = sklearn("feature_extraction.text")
        settings: dict[str, Any] = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
        settings |= {"ngram_range": (1, 2)} if analyzer == "words" else {"analyzer": "char", "ngram_range": (2, 5)}
        if analyzer == "characters":
            settings |= {"max_features": 300_000}
        self.vectorizer = text.TfidfVectorizer(**settings)
        rows = self.vectorizer.fit_transform([e.raw for e in examples])
        self.model = sklearn("linear_model").LogisticRegression(C=30, solver="liblinear")
        self.model.fit(rows, [e.spam for e in examples])

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray:
        return self.model.predict_proba(self.vectorizer.transform([e.raw for e in examples]))[:, 1]


class Hashed:
    """The hashed scorer (engine/spam/hashed_scorer.py), on the normaliser's text, without a network beside it."""

    def __init__(self, examples: Sequence[Example]) -> None:
        from training.spam.fitting import fit_hashed
        from training.spam.pipeline import rows_of

        self.scorer = fit_hashed(rows_of(examples)).scorer

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray:
        return self.scorer.probabilities([e.text for e in examples])


class Folder:
    """A folder that has been trained already: the hashed scorer's, or a classifier's with the label "spam"."""

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            ModelFolderError, TrainingError: it cannot be opened, or knows no spam.
        """
        if read_json(path / "config.json").get("architecture") in (ARCHITECTURE, STACKED):
            self._of_texts: Callable[[list[str]], Any] = load_judge(path).probabilities
            return
        from engine.run.classifier import TextClassifier

        classifier = TextClassifier.load(path)
        if "spam" not in classifier.labels:
            raise TrainingError(
                f"{path} tells {', '.join(classifier.labels)} apart; a spam scorer needs a label 'spam'."
            )
        column = classifier.labels.index("spam")
        self._of_texts = lambda texts: classifier.probabilities(texts)[:, column].numpy()

    def probabilities(self, examples: Sequence[Example]) -> np.ndarray:
        return np.asarray(self._of_texts([e.text for e in examples]), dtype=np.float64)
