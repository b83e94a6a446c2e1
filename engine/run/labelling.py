"""The worker's side of Label: keeps the classifier that was asked last and puts what it says into a message."""

from __future__ import annotations

from pathlib import Path

from engine.protocol import Label, Labels
from engine.run.classifier import TextClassifier


class Labellers:
    """Classifiers by folder; the last one stays in memory."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self._classifier: TextClassifier | None = None

    def answer(self, message: Label) -> Labels:
        """What `message` asks for.

        Raises:
            ModelFolderError: the folder holds no classifier, or a damaged one.
        """
        if self._classifier is None or self._folder != message.model:
            self._classifier, self._folder = TextClassifier.load(Path(message.model)), message.model
        rows = tuple(
            {"probabilities": list(found.probabilities), "tokens": found.tokens, "cut": found.cut}
            for found in self._classifier.classify(message.texts)
        )
        return Labels(message.request, self._classifier.labels, rows)
